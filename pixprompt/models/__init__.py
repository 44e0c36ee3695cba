"""Models: opaque callables from images in [0, 1] to outputs, by name or made of anything callable."""

from .dual_encoder import DualEncoder
from .frozen import frozen
from .loading import PREFIXES, load_model
from .python_callable.as_model import as_model
from .python_callable.callable_model import CallableModel, widened
from .short_names import MODELS
from .torch_model import TorchModel
from .wrappers import DirectQuerier

__all__ = [
    "MODELS",
    "PREFIXES",
    "CallableModel",
    "DirectQuerier",
    "DualEncoder",
    "TorchModel",
    "as_model",
    "frozen",
    "load_model",
    "widened",
]
