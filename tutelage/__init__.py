"""tutelage: a strong model coaches a small one through text alone."""
