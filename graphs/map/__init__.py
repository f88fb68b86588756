"""The map: which states were met, where dialogues go wrong first, what was never met or found."""
