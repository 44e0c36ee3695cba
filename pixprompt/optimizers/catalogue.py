"""The optimisers that have a name, described without importing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..registry import Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from .query import AskTell

__all__ = ["OPTIMIZERS", "QUERY_OPTIMIZERS"]

OptimizerMaker: TypeAlias = "Callable[..., Optimizer]"
_HERE = __name__.rpartition(".")[0]

OPTIMIZERS: Registry[OptimizerMaker] = Registry(
    "optimizer",
    {
        "adam": (f"{_HERE}.gradient:adam", "Adam, needs gradients; steps of about lr whatever the gradient's size"),
        "adamw": (f"{_HERE}.gradient:adamw", "Adam with decoupled weight decay, needs gradients (the SA2VP paper's)"),
        "normalized-sgd": (
            f"{_HERE}.gradient:normalized_sgd",
            "stochastic gradient descent whose steps have length lr whatever the gradient's, needs gradients (EVP's)",
        ),
        "sgd": (
            f"{_HERE}.gradient:sgd",
            "stochastic gradient descent with momentum, needs gradients (the VP paper's)",
        ),
    },
)
QUERY_OPTIMIZERS: Registry[type[AskTell]] = Registry(
    "query optimizer",
    {
        "bar": (
            f"{_HERE}.random_gradient:RandomGradient",
            "one-sided random gradient on the sphere (BAR), polynomial decay; needs answers only",
        ),
        "cma": (
            f"{_HERE}.cma:Cma",
            "CMA-ES, learns the shape of the loss; at most 1,000 parameters; needs answers only",
        ),
        "nes": (f"{_HERE}.nes:Nes", "antithetic natural evolution strategy with Adam; needs answers only"),
        "sep-cma": (
            f"{_HERE}.cma:SepCma",
            "separable CMA-ES: a variance per parameter, no rotation; needs answers only",
        ),
        "spsa": (f"{_HERE}.spsa:Spsa", "SPSA with random signs, two-sided, Spall's gains; needs answers only"),
        "spsa-gc": (
            f"{_HERE}.spsa_gc:SpsaGc",
            "SPSA with a look-ahead momentum (BlackVIP), two-sided; needs answers only",
        ),
        "spsa-uniform": (
            f"{_HERE}.spsa:SpsaUniform",
            "SPSA with sizes in [0.5, 1] and random signs; needs answers only",
        ),
    },
)
