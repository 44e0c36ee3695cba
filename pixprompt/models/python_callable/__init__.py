"""Any Python callable as a model."""
