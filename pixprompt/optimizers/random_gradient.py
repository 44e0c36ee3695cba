"""The one-sided averaged random gradient of BAR (arXiv 2007.08714, eqs. 5 and 6)."""

from __future__ import annotations

import math
from typing import ClassVar, Unpack

import torch
from torch import Tensor

from .gains import Calibration, polynomial_decay
from .query import AskTell, Defaults, Options

__all__ = ["RandomGradient", "one_sided"]

_CONSTANTS = {"decay": 0.9, "least_step": 0.01}


def one_sided(losses: Tensor, directions: Tensor, radius: float) -> Tensor:
    """BAR's estimate, averaged over q directions; exact in expectation on a linear loss, since d E[u u'] = I.

    Args:
        losses: (q + 1,), at the center, then at center + radius * direction.
        directions: (q, D) unit vectors, uniform on the sphere.
        radius: beta, the length of a perturbation.

    Returns:
        (D,), D / q times the sum of u (f(w + beta u) - f(w)) / beta.
    """
    slopes = (losses[1:] - losses[0]) / radius
    return directions.shape[1] * (slopes[:, None] * directions).mean(0)


class RandomGradient(AskTell):
    """BAR: q unit directions and one pivot per generation, x <- x - a_k ghat with polynomial decay of power 0.9.

    The radius is sigma sqrt(D) and stays; the decay ends at a hundredth of the first gain. The first step has pixel RMS
    `lr` (`Calibration`), where the public code counts the first step as the schedule's second.
    """

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=0.06, sigma=0.03, population=11, constants=_CONSTANTS)

    def __init__(self, start: Tensor, **options: Unpack[Options]) -> None:
        super().__init__(start, **options)
        self._calibration = Calibration()
        self._radius = self._sigma * math.sqrt(self._center.numel())

    def _propose(self) -> tuple[Tensor, Tensor]:
        shape = (self.num_candidates - 1, self._center.numel())
        normal = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        directions = normal / normal.norm(dim=1, keepdim=True)
        return directions, torch.cat([self._center[None], self._center + self._radius * directions])

    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        decay = polynomial_decay(
            self._generation,
            total=self._generations,
            exponent=self._constants["decay"],
            least=self._constants["least_step"],
        )
        gradient = self._calibration(one_sided(losses, pending, self._radius))
        self._center = self._center - self._lr * self._guard.damping * decay * gradient
