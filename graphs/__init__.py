"""What happens when: dialogue and coaching graphs, run log, events."""
