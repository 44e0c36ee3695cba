"""Models: from images in [0, 1] to outputs, by name or made of anything callable."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .short_names import MODELS as MODELS

if TYPE_CHECKING:
    from .families.bundle import check_bundle as check_bundle, write_bundle as write_bundle
    from .families.dual_encoder import DualEncoder as DualEncoder, text_encoder as text_encoder
    from .loading import PREFIXES as PREFIXES, load_model as load_model
    from .python_callable.as_model import as_model as as_model
    from .python_callable.callable_model import CallableModel as CallableModel, widened as widened
    from .torch_model import TorchModel as TorchModel, local_net as local_net
    from .wrappers import DirectQuerier as DirectQuerier, images_per_call as images_per_call

__all__, __getattr__, __dir__ = lazy_names(__name__)
