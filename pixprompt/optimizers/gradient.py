"""Optimisers that follow gradients, with one set of arguments for all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

__all__ = ["adam", "adamw", "sgd"]


def sgd(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns stochastic gradient descent with momentum."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


def adam(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns Adam; the momentum is its first beta."""
    return torch.optim.Adam(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)


def adamw(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Returns Adam with decoupled weight decay; the momentum is its first beta."""
    return torch.optim.AdamW(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)
