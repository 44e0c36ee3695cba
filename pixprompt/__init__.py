"""Adapt a vision model that you can only call: learn a visual prompt, save it as a PNG, put it on any image.

Prompts and what loads them need numpy and Pillow only; the other names import torch when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Data": "data",
    "from_arrays": "data",
    "from_files": "data",
    "TrainConfig": "engine",
    "as_model": "models",
    "deploy": "engine",
    "evaluate": "engine",
    "load_data": "data",
    "load_model": "models",
    "predict": "engine",
    "train": "engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
