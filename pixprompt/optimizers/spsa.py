"""SPSA, two-sided, averaged over pairs (Spall 1992, IEEE Trans. Automatic Control 37(3); gains: Spall 1998)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Unpack

import torch
from torch import Generator, Tensor

from .gains import Calibration, power_decay
from .query import AskTell, Defaults, Options

__all__ = ["Spsa", "SpsaUniform", "rademacher", "segmented_uniform", "two_sided"]

Draw = Callable[..., Tensor]

_GAINS = {"decay": 0.602, "sigma_decay": 0.101, "decay_offset": None}
_STABILITY = 0.1


def rademacher(shape: tuple[int, ...], *, generator: Generator) -> Tensor:
    """Draws -1 and 1, each with probability 1/2."""
    return torch.randint(2, shape, generator=generator).double() * 2 - 1


def segmented_uniform(shape: tuple[int, ...], *, generator: Generator) -> Tensor:
    """Draws a size uniform in [0.5, 1] and a random sign, as BlackVIP does, divided by its RMS sqrt(7/12)."""
    size = 0.5 + 0.5 * torch.rand(shape, generator=generator, dtype=torch.float64)
    return size * rademacher(shape, generator=generator) / math.sqrt(7 / 12)


def two_sided(losses: Tensor, steps: Tensor) -> Tensor:
    """Spall's estimate, averaged over q pairs (1992, eq. 2.2); exact in expectation on a linear loss.

    Args:
        losses: (2q,), at center + step for every step, then at center - step.
        steps: (q, D), the perturbations c_k Delta; none is 0.

    Returns:
        (D,), the mean of (L+ - L-) / (2 c_k Delta_i).
    """
    plus, minus = losses.chunk(2)
    return ((plus - minus)[:, None] / (2 * steps)).mean(0)


class Spsa(AskTell):
    """SPSA with Rademacher directions: x <- x - a_k ghat, a_k = a / (k + 1 + A)^0.602, c_k = c / (k + 1)^0.101.

    A is a tenth of the planned generations, as Spall (1998) advises; a comes from `Calibration`.
    """

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=0.06, sigma=0.05, population=10, paired=True, constants=_GAINS)
    DRAW: ClassVar[Draw] = staticmethod(rademacher)

    def __init__(self, start: Tensor, **options: Unpack[Options]) -> None:
        super().__init__(start, **options)
        self._calibration = Calibration()

    def _propose(self) -> tuple[Tensor, Tensor]:
        shape = (self.num_candidates // 2, self._center.numel())
        size = self._sigma * power_decay(self._generation, offset=0, exponent=self._constants["sigma_decay"])
        steps = size * self.DRAW(shape, generator=self._generator)
        return steps, torch.cat([self._center + steps, self._center - steps])

    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        offset = self._constants.get("decay_offset", _STABILITY * self._generations)
        decay = power_decay(self._generation, offset=offset, exponent=self._constants["decay"])
        gain = self._lr * self._guard.damping * decay
        self._center = self._center - gain * self._calibration(two_sided(losses, pending))


class SpsaUniform(Spsa):
    """SPSA with segmented-uniform directions."""

    DRAW: ClassVar[Draw] = staticmethod(segmented_uniform)
