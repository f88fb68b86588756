"""The log: what happened in a run, written as it happens, and what is read from it."""
