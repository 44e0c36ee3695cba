"""The Open Inference Protocol, version 2."""

from . import protocol  # noqa: F401  (it registers itself)
