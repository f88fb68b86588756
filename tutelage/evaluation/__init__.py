"""Evaluation: arms from request to figures, tables and page."""
