"""What is learned: entries, strategies, the library, its versions, retrieval."""
