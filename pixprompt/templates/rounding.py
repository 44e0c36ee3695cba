"""Rounding and clamping that a gradient can pass: the prompt learns about 8 bits and about [0, 1]."""

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
        context.save_for_backward(values)
        context.low, context.high = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (values,), gradient = context.saved_tensors, gradients[0]
        stuck = ((values < context.low) & (gradient > 0)) | ((values > context.high) & (gradient < 0))
        return gradient.masked_fill(stuck, 0), None, None
