"""Preparing a data set once: unpack, count, digest, write down; then a name always means the same images."""

from .prepare import Summary, prepare
from .prepared import prepared_folder, read_prepared

__all__ = ["Summary", "prepare", "prepared_folder", "read_prepared"]
