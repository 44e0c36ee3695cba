"""Frozen nets without what only their training needs: faster, and equal."""
