"""Rounding and clamping that let gradients through, so that a prompt learns what 8 bits in [0, 1] can hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["clamp_through", "round_through"]


def round_through(values: Tensor) -> Tensor:
    """Rounds; the gradient passes unchanged (straight-through, arXiv 1308.3432)."""
    return values + (values.round() - values).detach()


def clamp_through(values: Tensor, low: float, high: float) -> Tensor:
    """Clamps to [low, high]; the gradient passes inside, and outside only where a descent step leads back inside.

    A plain clamp has no gradient outside, so a prompt pixel that darkens a black background is stuck there for good.
    """
    return _Clamp.apply(values, low, high)  # type: ignore[no-any-return]


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, low: float, high: float) -> Tensor:
        clamped = values.clamp(low, high)
        context.save_for_backward(values - clamped)
        return clamped

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (excess,), gradient = context.saved_tensors, gradients[0]
        return gradient.masked_fill(excess * gradient < 0, 0), None, None
