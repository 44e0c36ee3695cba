"""Learning by gradients: steps, epochs, checkpoints."""
