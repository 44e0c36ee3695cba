"""Transforms that are linear in the scores of the answers."""
