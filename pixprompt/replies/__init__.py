"""Replies in any form, read as rows of scores."""

from .vocabulary import OTHER

__all__ = ["OTHER"]
