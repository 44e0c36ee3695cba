"""Optimisers and schedules: numbers in, numbers out; nothing here knows models or adapters.

`OPTIMIZERS` need gradients; `QUERY_OPTIMIZERS` ask and tell, and need answers only.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import OPTIMIZERS, QUERY_OPTIMIZERS

if TYPE_CHECKING:
    from .cma import Cma, SepCma
    from .nes import Nes
    from .query import AskTell, make_query_optimizer
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

__getattr__ = lazy_names(
    __name__,
    {
        "cma": "Cma SepCma",
        "nes": "Nes",
        "query": "AskTell make_query_optimizer",
        "random_gradient": "RandomGradient",
        "schedules": "warmup_cosine",
        "spsa": "Spsa SpsaUniform",
        "spsa_gc": "SpsaGc",
    },
)
