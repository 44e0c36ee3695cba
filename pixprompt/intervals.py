"""Intervals of accuracies: of one share, and of the difference of two that were measured on the same images."""

from __future__ import annotations

import math

__all__ = ["paired_difference", "wilson"]

_Z95 = 1.959963984540054


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
