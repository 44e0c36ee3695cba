"""Antithetic natural evolution strategies with Adam (arXiv 1703.03864, section 2 and algorithm 1; Adam: 1412.6980)."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import Tensor

from .gains import polynomial_decay
from .query import AskTell, Defaults, Options

__all__ = ["Nes", "adam_direction", "antithetic"]

_BETAS, _EPSILON = (0.9, 0.999), 1e-12
_CONSTANTS = {"decay": 1.0, "least_step": 0.1}


def antithetic(losses: Tensor, directions: Tensor, sigma: float) -> Tensor:
    """The search gradient with mirrored sampling; exact in expectation on a linear loss, since E[e e'] = I.

    Args:
        losses: (2q,), at center + sigma e for every e, then at center - sigma e.
        directions: (q, D), e ~ N(0, I).
        sigma: Standard deviation of the search distribution.

    Returns:
        (D,), the mean of e (f(w + sigma e) - f(w - sigma e)) / (2 sigma).
    """
    plus, minus = losses.chunk(2)
    return ((plus - minus)[:, None] * directions).mean(0) / (2 * sigma)


def adam_direction(gradient: Tensor, first: Tensor, second: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Adam (algorithm 1 of its paper): the moments after `step` >= 1 gradients and the direction, each (D,)."""
    first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
    second = _BETAS[1] * second + (1 - _BETAS[1]) * gradient.square()
    root = (second / (1 - _BETAS[1] ** step)).sqrt()
    return first, second, first / (1 - _BETAS[0] ** step) / (root + _EPSILON)


class Nes(AskTell):
    """NES: mirrored Gaussian perturbations of pixel RMS sigma; Adam's step, whose first has pixel RMS `lr` by itself.

    The step falls linearly to a tenth over the planned generations. Losses of any scale give the same steps.
    """

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=0.03, sigma=0.05, population=10, paired=True, constants=_CONSTANTS)

    def __init__(self, start: Tensor, **options: Unpack[Options]) -> None:
        super().__init__(start, **options)
        self._steps = 0
        self._first = torch.zeros_like(self._center)
        self._second = torch.zeros_like(self._center)

    def _propose(self) -> tuple[Tensor, Tensor]:
        shape = (self.num_candidates // 2, self._center.numel())
        directions = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        steps = self._sigma * directions
        return directions, torch.cat([self._center + steps, self._center - steps])

    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        self._steps += 1
        gradient = antithetic(losses, pending, self._sigma)
        self._first, self._second, direction = adam_direction(gradient, self._first, self._second, self._steps)
        decay = polynomial_decay(
            self._generation,
            total=self._generations,
            exponent=self._constants["decay"],
            least=self._constants["least_step"],
        )
        self._center = self._center - self._lr * self._guard.damping * decay * direction

    def _retreat(self) -> None:
        self._first = torch.zeros_like(self._first)  # the scale of the gradients, `_second`, stays
