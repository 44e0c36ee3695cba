"""Intervals of accuracies: of one share, and of the difference of two that were measured on the same images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["combined_interval", "mean_interval", "paired_difference", "wilson"]

_Z95 = 1.959963984540054
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t at 97.5%, for 1 to 10 degrees of freedom."""


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95% interval of a mean by Student's t; of more than 11 values by the normal distribution.

    Raises:
        ValueError: There are fewer than two values.
    """
    freedom = len(values) - 1
    if freedom < 1:
        raise ValueError(f"an interval of a mean needs two values or more, got {len(values)}.")
    quantile = _T95[freedom - 1] if freedom <= len(_T95) else _Z95
    middle, reach = statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))
    return middle - reach, middle + reach


def combined_interval(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Returns the mean of independent estimates, and its 95% interval from theirs.

    Args:
        parts: Estimate, lower and upper end of each; at least one.

    The squares of the distances to the ends add up (Zou and Donner 2008, Statistics in Medicine 27, 1693-1702).
    """
    below = math.hypot(*(middle - low for middle, low, _ in parts)) / len(parts)
    above = math.hypot(*(high - middle for middle, _, high in parts)) / len(parts)
    mean = statistics.fmean(middle for middle, _, _ in parts)
    return mean, mean - below, mean + above


def wilson(correct: int, total: int) -> tuple[float, float]:
    """Returns the 95% Wilson score interval of a share (Wilson 1927); (0, 1) without observations."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = correct / total, _Z95**2 / total
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z95 / (1 + z2) * math.sqrt(share * (1 - share) / total + z2 / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_difference(gained: int, lost: int, both: int, total: int) -> tuple[float, float]:
    """Returns the 95% score interval of a change of accuracy that was measured on the same images.

    Args:
        gained: Images that are right after and wrong before.
        lost: Images that are wrong after and right before.
        both: Images that are right before and after.
        total: All images.

    Returns:
        The ends of the interval of (gained - lost) / total, in [-1, 1]; (-1, 1) without observations.

    Reference: Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10.
    """
    if total == 0:
        return -1.0, 1.0
    neither = total - gained - lost - both
    after, before = both + gained, both + lost
    (low_after, high_after), (low_before, high_before) = wilson(after, total), wilson(before, total)
    products = after * before * (total - after) * (total - before)
    excess: float = both * neither - gained * lost
    if excess > 0:
        excess = max(excess - total / 2, 0)
    phi = excess / math.sqrt(products) if products else 0.0
    share_after, share_before = after / total, before / total

    def reach(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first**2 - 2 * phi * first * second + second**2))

    change = share_after - share_before
    low = change - reach(share_after - low_after, high_before - share_before)
    high = change + reach(high_after - share_after, share_before - low_before)
    return max(-1.0, low), min(1.0, high)
