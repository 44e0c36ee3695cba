"""What more labelled images would bring a committee, from its learning curve on those at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..outputs import stratified_folds
from .bill import Price
from .readout import leave_one_out, squared_errors

__all__ = ["Forecast", "slope"]

_ERROR_PER_LOSS, _ERROR_PER_GROWTH = 2.5, 1.5
"""The share of wrong images falls like these powers of the squared error, on the answers of real classifiers: from one
committee to another on as many images, and with further images."""
_SLOPE_PER_DOUBLING = 0.025
"""What a slope gains with each doubling of the committee."""
_USUAL, _LEAST, _MOST = 0.12, 0.02, 0.4
"""Slopes of the squared error; the one measured is drawn half-way to the usual one."""
_FLATTENS = 0.85
"""A learning curve gets flatter as it goes on."""


def slope(kernels: Sequence[Tensor], labels: Tensor, num_classes: int) -> float:
    """Returns b of a squared error that falls like n^-b, from all images and from halves of them.

    Args:
        kernels: (N, N) of readouts whose slopes are alike; the mean of them is less noisy.
        labels: (N,) int64.
        num_classes: C.
    """
    halves = stratified_folds(labels, 2)
    slopes = []
    for kernel in kernels:
        whole = leave_one_out(kernel, labels, num_classes)
        errors = torch.zeros(len(labels), dtype=torch.float64)
        for half in (halves == 0, halves == 1):
            inner = leave_one_out(kernel[half][:, half], labels[half], num_classes)
            errors[half] = squared_errors(inner.outputs, labels[half])
        slopes.append(math.log2(float(errors.mean()) / max(whole.loss, 1e-12)))
    measured = sum(slopes) / len(slopes)
    return min(_MOST, max(_LEAST, (measured + _USUAL) / 2))


@dataclass(frozen=True)
class Forecast:
    """Of committees, from the squared errors on the images at hand.

    Attributes:
        plain: Squared error of each image under the plain view, (n,).
        error: Share of wrong images under the plain view.
        slope: Of the learning curve, see `slope`.
        price: Of learning and use.
    """

    plain: Tensor
    error: float
    slope: float
    price: Price

    def worth(self, losses: Tensor, size: int, images: int) -> float:
        """Returns the accuracy of a committee with so many images, less its price.

        Args:
            losses: (n,) squared errors of the committee on the images at hand.
            size: Its views.
            images: Labelled, under each of them.
        """
        lower = float(losses.mean() / self.plain.mean().clamp_min(1e-9)) ** _ERROR_PER_LOSS
        lower *= self._lowered(size, images) ** _ERROR_PER_GROWTH
        return self.price.worth(1 - min(1.0, self.error * lower), size)

    def score(self, losses: Tensor, size: int, images: int) -> float:
        """Returns by how many standard errors a committee will be better than the plain view on as many images."""
        gain = float(self.plain.mean()) * self._lowered(1, images) - float(losses.mean()) * self._lowered(size, images)
        return gain / float((self.plain - losses).std().clamp_min(1e-9)) * math.sqrt(images)

    def _lowered(self, size: int, images: int) -> float:
        steep = self.slope + _SLOPE_PER_DOUBLING * math.log2(size)
        return math.pow(max(1.0, images / max(1, len(self.plain))), -_FLATTENS * steep)
