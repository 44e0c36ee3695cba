"""The random streams of a run."""

from ..seeds import stream

__all__ = ["stream"]
