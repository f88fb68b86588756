"""Play: who sits at the desk, one dialogue, many of them, and people who step in."""
