"""Serving: the proxy that coaches whatever passes through it."""
