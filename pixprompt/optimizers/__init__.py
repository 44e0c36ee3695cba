"""Optimisers and schedules: numbers in, numbers out; nothing here knows models or adapters.

`OPTIMIZERS` need gradients; `QUERY_OPTIMIZERS` ask and tell, and need answers only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter

from ..registry import Registry
from .cma import Cma, SepCma
from .nes import Nes
from .query import QUERY_OPTIMIZERS, AskTell, make_query_optimizer
from .random_gradient import RandomGradient
from .schedules import warmup_cosine
from .spsa import Spsa, SpsaUniform
from .spsa_gc import SpsaGc

__all__ = [
    "OPTIMIZERS",
    "QUERY_OPTIMIZERS",
    "AskTell",
    "Cma",
    "Nes",
    "RandomGradient",
    "SepCma",
    "Spsa",
    "SpsaGc",
    "SpsaUniform",
    "make_query_optimizer",
    "warmup_cosine",
]

Build = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: Registry[Build] = Registry("optimizer")


@OPTIMIZERS.register("sgd", "stochastic gradient descent with momentum, needs gradients (the VP paper's)")
def _sgd(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


@OPTIMIZERS.register("adam", "Adam, needs gradients; steps of about lr pixel units whatever the gradient's size")
def _adam(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)


@OPTIMIZERS.register("adamw", "Adam with decoupled weight decay, needs gradients (the SA2VP paper's)")
def _adamw(params: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(params, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)
