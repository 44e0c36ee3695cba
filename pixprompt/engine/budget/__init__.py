"""What a run may spend, and on what."""
