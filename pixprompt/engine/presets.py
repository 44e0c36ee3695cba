"""What the preset decides where the user does not.

The default recipe was chosen by measurement (experiments/recipe); "vp" is the VP paper's, arXiv 2203.17274, section 3
and its public code: SGD at learning rate 40 in units of the model's normalisation, momentum 0.9, 1000 steps of linear
warm-up, cosine, 1000 epochs, N(0, 1) start, first-K mapping for classifiers and one text template per data set.
"""

from __future__ import annotations

from typing import Any

from ..core import AnswerKind, ModelSpec
from ..models import MODELS
from .config import TrainConfig

__all__ = ["DEFAULTS", "resolve", "uses_model_units"]

DEFAULTS: dict[str, Any] = {
    "blend": "add",
    "fit": "resize",
    "start": "flat",
    "optimizer": "adam",
    "lr": 0.05,
    "warmup": 20,
    "epochs": 6,
    "batch_size": 32,
}
"""What the default preset decides, whatever the model."""
_VP: dict[str, Any] = {
    "blend": "add",
    "fit": "resize",
    "start": "normal",
    "optimizer": "sgd",
    "lr": 40.0,
    "warmup": 1000,
    "epochs": 1000,
}
_VP_SMALL_BATCH = ("instagram-resnext101", MODELS["instagram-resnext101"])
"""The one model that the paper gives 32 images per step; CLIP has 256, the others 128."""


def resolve(config: TrainConfig, spec: ModelSpec) -> TrainConfig:
    """Returns the configuration with every None that the preset decides filled in."""
    dual = spec.answer is AnswerKind.EMBEDDINGS
    if config.preset == "default":
        values = {**DEFAULTS, "output": "text" if dual else "frequency"}
    else:
        batch = 32 if config.model in _VP_SMALL_BATCH else 256 if dual else 128
        values = {**_VP, "output": "text" if dual else "first-k", "batch_size": batch}
    open_fields = {name: value for name, value in values.items() if getattr(config, name) is None}
    return config.with_values(**open_fields)


def uses_model_units(config: TrainConfig) -> bool:
    """Whether parameters count in standard deviations of the model's normalisation, as the VP paper's do."""
    return config.preset == "vp" or config.space == "normalized"
