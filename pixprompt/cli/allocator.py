"""How this process keeps memory: a setting of the C library, so for the command line alone."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Makes glibc keep the large blocks that every step frees and asks for again.

    By default it gives them back to the system at once, and getting them anew took half of the time of a float32
    training step on two cores (experiments/benchmarks/train_step.py). The price is that memory stays at its peak.
    Without glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
