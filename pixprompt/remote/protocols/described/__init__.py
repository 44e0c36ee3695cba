"""A protocol that a JSON file describes."""

from . import protocol  # noqa: F401  (it registers itself)
