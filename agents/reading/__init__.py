"""Reading: what code tells of a line that was said, without asking a model."""
