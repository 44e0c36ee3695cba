"""Readers of the layouts in which single data sets are published."""
