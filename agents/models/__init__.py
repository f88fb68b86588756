"""Models: where a chat model or vectors come from, the weights in this process, calls, costs, faults."""
