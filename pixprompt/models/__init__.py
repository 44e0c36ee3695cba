"""Models: opaque callables from images in [0, 1] to outputs, by name or made of anything callable."""

from .callables import as_model
from .dual_encoder import DualEncoder
from .frozen import frozen
from .loading import PREFIXES, load_model
from .short_names import MODELS
from .torch_model import TorchModel
from .wrappers import Counted

__all__ = ["MODELS", "PREFIXES", "Counted", "DualEncoder", "TorchModel", "as_model", "frozen", "load_model"]
