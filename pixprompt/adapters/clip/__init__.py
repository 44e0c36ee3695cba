"""What CLIP's users would take instead of a prompt: a cache of examples, or learned words in front of a class."""

from .base import OnEmbeddings

__all__ = ["OnEmbeddings"]
