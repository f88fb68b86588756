"""Baselines: other ways to learn on as many model calls."""
