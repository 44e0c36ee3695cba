"""Learning: by gradients, by answers, and what both stand on."""
