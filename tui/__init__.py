"""Seeing: watch a run in the terminal."""
