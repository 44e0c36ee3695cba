"""Output transforms made of texts and names."""
