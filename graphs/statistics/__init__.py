"""Statistics: whether a difference is one, asked of pairs, arms, rounds and judges."""
