"""SPSA with gradient correction, in the form of BlackVIP's public code (arXiv 2303.14773, section 3.3)."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import Tensor

from .gains import power_decay
from .query import Defaults, Options
from .spsa import SpsaUniform, two_sided

__all__ = ["SpsaGc", "corrected"]

_CONSTANTS = {"decay": 0.4, "sigma_decay": 0.1, "decay_offset": 1.0, "momentum": 0.9}


def corrected(momentum: Tensor, gradient: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """One gradient correction: the new momentum m <- b m + g, and the direction g + b m; both (D,)."""
    momentum = beta * momentum + gradient
    return momentum, gradient + beta * momentum


class SpsaGc(SpsaUniform):
    """SPSA-GC: m <- b m + ghat(w), w <- w - a_t (ghat(w) + b m); a_t = a / (t + o)^0.4, c_t = c / t^0.1, t = 1, 2, ...

    The paper writes a look-ahead (its eqs. 5 and 6): v <- b v - a ghat(phi + b v), phi <- phi + v. In the shifted
    variable w = phi + b v both are the same while a is constant: v = -a m by induction, hence
    w' = phi' + b v' = (w - b v) + v' + b v' = w - a ghat(w) + b v' = w - a (ghat(w) + b m').
    With a falling gain, v carries the gains of its past where the code's form scales all of m by the present one: they
    differ by the ratio a_t / a_(t-1), which tends to 1. `center` is w, as in the code: where the losses are measured.

    The first direction is (1 + b) ghat, so the gain is divided by 1 + b and the first step has pixel RMS `lr`. The
    estimate is calibrated and clipped before it enters the momentum.
    """

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=0.02, sigma=0.05, population=10, paired=True, constants=_CONSTANTS)

    def __init__(self, start: Tensor, **options: Unpack[Options]) -> None:
        super().__init__(start, **options)
        self._momentum = torch.zeros_like(self._center)

    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        gradient = self._calibration(two_sided(losses, pending))
        constants, beta = self._constants, self._constants["momentum"]
        self._momentum, direction = corrected(self._momentum, gradient, beta)
        decay = power_decay(self._generation, offset=constants["decay_offset"], exponent=constants["decay"])
        self._center = self._center - self._lr * self._guard.damping * decay / (1 + beta) * direction

    def _retreat(self) -> None:
        self._momentum = torch.zeros_like(self._momentum)
