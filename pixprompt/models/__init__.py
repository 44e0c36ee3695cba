"""Models: opaque callables from images in [0, 1] to outputs, by name or made of anything callable."""

from .budget import Budget
from .callables import as_model
from .dual_encoder import DualEncoder
from .frozen import frozen
from .journal import Journal, Journaled, probe_queries
from .ledger import Ledger, Totals
from .loading import PREFIXES, load_model
from .opaque import Opaque, widened
from .reply_ledger import ReplyLedger
from .short_names import MODELS
from .torch_model import TorchModel
from .vocabulary import OTHER
from .wrappers import Counted

__all__ = [
    "MODELS",
    "OTHER",
    "PREFIXES",
    "Budget",
    "Counted",
    "DualEncoder",
    "Journal",
    "Journaled",
    "Ledger",
    "Opaque",
    "ReplyLedger",
    "TorchModel",
    "Totals",
    "as_model",
    "frozen",
    "load_model",
    "probe_queries",
    "widened",
]
