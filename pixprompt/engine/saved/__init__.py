"""What a run leaves, and everything that can be done with it."""
