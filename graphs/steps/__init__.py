"""The steps of coaching: what is proposed, tried, tested on others, kept, and looked back at."""
