"""Optimisers by gradients, all with the same arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import Parameter

__all__ = ["adam", "adamw", "normalized_sgd", "sgd", "warmup_cosine"]


def sgd(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns stochastic gradient descent with momentum."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


def adam(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns Adam; the momentum is its first beta."""
    return torch.optim.Adam(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)


def adamw(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns Adam with decoupled weight decay; the momentum is its first beta."""
    return torch.optim.AdamW(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)


def normalized_sgd(
    params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Returns gradient descent on g / |g|, with g the gradient of all parameters together.

    EVP's public code takes the length of g over the whole image, the shrunk image inside the frame included, so that
    its steps are somewhat shorter than its lr.

    Reference: arXiv 2212.10556.
    """
    return _NormalizedSGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


class _NormalizedSGD(torch.optim.SGD):
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        gradients = [each.grad for group in self.param_groups for each in group["params"] if each.grad is not None]
        length = torch.nn.utils.get_total_norm(gradients)
        for gradient in gradients:
            gradient.div_(length + 1e-10)
        return super().step(closure)


def warmup_cosine(step: int, *, total: int, warmup: int) -> float:
    """Returns the share of the base learning rate at a step, in (0, 1].

    Linear warm-up, (step + 1) / warmup, then half a cosine from 1 towards 0, as in the VP paper's code.

    Args:
        step: 0 .. total - 1.
        total: Number of steps of the whole run.
        warmup: Number of warm-up steps; 0 for none.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
