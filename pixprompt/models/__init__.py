"""Models: opaque callables from images in [0, 1] to outputs, by name or made of anything callable."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .short_names import MODELS

if TYPE_CHECKING:
    from .dual_encoder import DualEncoder
    from .loading import PREFIXES, load_model
    from .python_callable.as_model import as_model
    from .python_callable.callable_model import CallableModel, widened
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
    "load_model",
    "widened",
]

__getattr__ = lazy_names(
    __name__,
    {
        "dual_encoder": "DualEncoder",
        "loading": "PREFIXES load_model",
        "python_callable.as_model": "as_model",
        "python_callable.callable_model": "CallableModel widened",
        "torch_model": "TorchModel",
        "wrappers": "DirectQuerier",
    },
)
