"""Advice: what may be put to a student, from rubric, rules, authors and handbook."""
