"""Runs: each command from its request to its result, in a folder, a process and an event loop."""
