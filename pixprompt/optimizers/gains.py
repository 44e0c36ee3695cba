"""The length of a step: clip, calibration and decay, shared by the zeroth-order optimisers."""

from __future__ import annotations

import math
from statistics import median

from torch import Tensor

__all__ = ["Calibration", "clip_to_norm", "polynomial_decay", "power_decay"]

_ESTIMATES = 10


def clip_to_norm(gradient: Tensor, limit: float) -> Tensor:
    """A gradient estimate (D,), shortened to norm `limit` where it is longer (ZIP, ICLR 2025, takes sqrt(D))."""
    norm = float(gradient.norm())
    return gradient * (limit / norm) if norm > limit else gradient


class Calibration:
    """Brings gradient estimates to the norm sqrt(D), so that a step of gain `lr` moves pixels by an RMS of `lr`.

    Spall's guideline (1998, section III.B): choose the gain by the size that the first steps should have. The scale
    is the median RMS of the first 10 estimates that are not 0, so that a single one near 0 does not set it; ZIP's clip
    at sqrt(D) then bounds every step. The first estimate becomes exactly sqrt(D) long. Factors on the loss drop out.
    """

    def __init__(self) -> None:
        self.sizes: list[float] = []

    def __call__(self, gradient: Tensor) -> Tensor:
        """Scales and clips an estimate (D,); an estimate of 0 before any other stays 0."""
        root = math.sqrt(gradient.numel())
        size = float(gradient.norm()) / root
        if size > 0 and len(self.sizes) < _ESTIMATES:
            self.sizes = [*self.sizes, size]
        if size == 0:
            return gradient
        return clip_to_norm(gradient / median(self.sizes), root)


def power_decay(step: int, *, offset: float, exponent: float) -> float:
    """Spall's gain sequence as a share of its first value: ((1 + offset) / (step + 1 + offset))^exponent, step >= 0."""
    return float(((1 + offset) / (step + 1 + offset)) ** exponent)


def polynomial_decay(step: int, *, total: int, exponent: float, least: float) -> float:
    """(1 - step / total)^exponent, never below `least`; 1 at step 0."""
    return max(least, float(max(0.0, 1 - step / total) ** exponent))
