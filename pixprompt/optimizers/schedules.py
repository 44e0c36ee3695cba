"""Learning rates as a function of the step: numbers in, numbers out."""

from __future__ import annotations

import math

__all__ = ["warmup_cosine"]


def warmup_cosine(step: int, *, total: int, warmup: int) -> float:
    """Returns the share of the base learning rate at a step, in (0, 1].

    Linear warm-up, (step + 1) / warmup, then half a cosine from 1 towards 0, as in the VP paper's code.

    Args:
        step: 0 .. total - 1.
        total: Number of steps of the whole run.
        warmup: Number of warm-up steps; 0 for none.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
