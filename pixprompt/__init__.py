"""Adapt a vision model that you can only call: learn a visual prompt, save it as a PNG, put it on any image.

Prompts and what loads them need numpy and Pillow only; the other names import torch when they are first used.
"""

from typing import TYPE_CHECKING

from .lazy import lazy_names
from .prompt import Committee, Prompt, load, load_committee
from .version import __version__

if TYPE_CHECKING:
    from .data import Data, from_arrays, from_files, load_data
    from .engine import TrainConfig, deploy, evaluate, predict, train
    from .models import as_model, load_model

__all__ = [
    "Committee",
    "Data",
    "Prompt",
    "TrainConfig",
    "__version__",
    "as_model",
    "deploy",
    "evaluate",
    "from_arrays",
    "from_files",
    "load",
    "load_committee",
    "load_data",
    "load_model",
    "predict",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        "data": "Data from_arrays from_files load_data",
        "engine": "TrainConfig deploy evaluate predict train",
        "models": "as_model load_model",
    },
)


def __dir__() -> list[str]:
    return __all__
