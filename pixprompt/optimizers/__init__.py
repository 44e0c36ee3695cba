"""Optimisers and schedules: numbers in, numbers out; nothing here knows models or adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter

from ..registry import Registry
from .schedules import warmup_cosine

__all__ = ["OPTIMIZERS", "warmup_cosine"]

Build = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: Registry[Build] = Registry("optimizer")


@OPTIMIZERS.register("sgd", "stochastic gradient descent with momentum, needs gradients (the VP paper's)")
def _sgd(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


@OPTIMIZERS.register("adam", "Adam, needs gradients; steps of about lr pixel units whatever the gradient's size")
def _adam(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)
