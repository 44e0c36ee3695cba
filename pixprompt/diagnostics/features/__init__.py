"""What networks see in images, and where it is kept."""
