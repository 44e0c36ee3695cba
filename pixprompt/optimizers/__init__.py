"""Optimisers and schedules; nothing here knows models or adapters.

`OPTIMIZERS` need gradients; `QUERY_OPTIMIZERS`, with `ask` and `tell`, need answers only.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .catalogue import OPTIMIZERS as OPTIMIZERS, QUERY_OPTIMIZERS as QUERY_OPTIMIZERS

if TYPE_CHECKING:
    from .cma import Cma as Cma, SepCma as SepCma
    from .gradient import warmup_cosine as warmup_cosine
    from .nes import Nes as Nes
    from .query import AskTell as AskTell, make_query_optimizer as make_query_optimizer
    from .random_gradient import RandomGradient as RandomGradient
    from .spsa import Spsa as Spsa, SpsaUniform as SpsaUniform
    from .spsa_gc import SpsaGc as SpsaGc

__all__, __getattr__, __dir__ = lazy_names(__name__)
