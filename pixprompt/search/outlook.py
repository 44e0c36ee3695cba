"""What more labelled images would bring a committee, from its accuracy on those at hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["extrapolated", "smoothed"]

_SLOPE, _SLOPE_PER_DOUBLING = 0.12, 0.08
"""Error falls like n^-b with n images: b of one view, and what it gains with each doubling of the committee. Means of
the learning curves of real models' top-5 answers and labels; the curve of one race is too noisy to extrapolate."""
_PARABOLA = 4
"""Committees from which on a parabola is fitted; a line through fewer."""


def extrapolated(accuracy: float, growth: float, size: int) -> float:
    """Returns the accuracy of a committee of `size` views with `growth` times as many labelled images."""
    slope = _SLOPE + _SLOPE_PER_DOUBLING * math.log2(size)
    return 1 - (1 - accuracy) * math.pow(max(1.0, growth), -slope)


def smoothed(accuracies: Tensor) -> Tensor:
    """Returns accuracies (K,) of committees of 1, 2, ... views as a parabola in the logarithm of the size.

    Single ones are too noisy to choose a size by.
    """
    sizes = np.log2(np.arange(1, len(accuracies) + 1))
    degree = min(2 if len(accuracies) >= _PARABOLA else 1, len(accuracies) - 1)
    return torch.from_numpy(np.polyval(np.polyfit(sizes, accuracies.numpy(), degree), sizes))
