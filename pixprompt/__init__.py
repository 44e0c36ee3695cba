"""Adapt a vision model that you can only call: learn a visual prompt, save it as a PNG, put it on any image.

Prompts and what loads them need numpy and Pillow only; the other names import torch when they are first used.

By hand: `templates`, `outputs`, `models`, `adapters`, `optimizers`, `data` and `diagnostics` hold the parts; `fit` and
`evaluate` take an adapter and images, and `train` a configuration; `study` repeats runs with one setting varied, and
`segmentation` learns to label pixels. experiments/by-hand shows each in under 40 lines.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .canvas import Canvas
from .lazy import lazy_names
from .prompt import Committee, Prompt, load, load_committee
from .version import __version__

if TYPE_CHECKING:
    from . import (
        adapters,
        data,
        diagnostics,
        models,
        optimizers,
        outputs,
        segmentation,
        study,
        templates,
    )
    from .adapters import PixelPrompt, load_adapter
    from .data import Data, from_arrays, from_files, load_data
    from .data.torch_dataset import CanvasDataset
    from .engine import Progress, TrainConfig, deploy, evaluate, predict, to_images, train
    from .engine.by_hand import fit
    from .models import as_model, load_model

__all__ = [
    "Canvas",
    "CanvasDataset",
    "Committee",
    "Data",
    "PixelPrompt",
    "Progress",
    "Prompt",
    "TrainConfig",
    "__version__",
    "adapters",
    "as_model",
    "data",
    "deploy",
    "diagnostics",
    "evaluate",
    "fit",
    "from_arrays",
    "from_files",
    "load",
    "load_adapter",
    "load_committee",
    "load_data",
    "load_model",
    "models",
    "optimizers",
    "outputs",
    "predict",
    "segmentation",
    "study",
    "templates",
    "to_images",
    "train",
]

_ROOMS = (
    *("adapters", "data", "diagnostics", "models", "optimizers", "outputs", "segmentation", "study", "templates"),
)
_NAMES = {
    "adapters": "PixelPrompt load_adapter",
    "data": "Data from_arrays from_files load_data",
    "data.torch_dataset": "CanvasDataset",
    "engine": "Progress TrainConfig deploy evaluate predict to_images train",
    "engine.by_hand": "fit",
    "models": "as_model load_model",
}
_find = lazy_names(__name__, _NAMES)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__) if name in _ROOMS else _find(name)


def __dir__() -> list[str]:
    return __all__
