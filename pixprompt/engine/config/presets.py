"""What the preset decides where the user does not.

The default recipe was chosen by measurement (experiments/recipe); "vp" is the VP paper's, arXiv 2203.17274, section 3
and its public code: SGD at learning rate 40 in units of the model's normalisation, momentum 0.9, 1000 steps of linear
warm-up, cosine, 1000 epochs, N(0, 1) start, first-K mapping for classifiers and one text template per data set.
"""

from __future__ import annotations

import math
from typing import Any

from ...adapters import SA2VP_PRESETS
from ...core import Access, AnswerKind, ConfigError, Model, ModelSpec, UnknownName
from ...models import MODELS
from ...optimizers import OPTIMIZERS, QUERY_OPTIMIZERS
from ...registry import suggest
from .methods import INSIDE, inside_defaults
from .train_config import TrainConfig

__all__ = [
    "DEFAULTS",
    "QUERY_DEFAULTS",
    "affordable",
    "learns_from_answers",
    "query_budget",
    "resolve",
    "uses_model_units",
]

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
QUERY_DEFAULTS: dict[str, Any] = {
    "blend": "add",
    "output": "auto",
    "basis": "dct",
    "loss": "cross-entropy",
}
"""Likewise where only answers are learned from; chosen by measurement (experiments/query-economy)."""
_SEARCH: dict[str, Any] = {"optimizer": "spsa", "population": 2, "sigma": 0.02, "lr": 0.02}
"""The search. One pair of trials on many images tells more than many trials on few: a transform that is fitted along
needs answers to many different images, and small trials stay where it can read them."""
_QUERY_METHODS: dict[str, dict[str, Any]] = {
    "bar": {"optimizer": "bar", "blend": "over", "fit": "shrink", "output": "frequency", "loss": "focal"},
    "blackvip": {"optimizer": "spsa-gc", "fit": "resize"},
    "none": {},
}
"""The settings of methods that only ever learn from answers, as their papers have them."""
_QUERIES = 2000
"""The budget of a search that was given none."""
_VP: dict[str, Any] = {
    "blend": "add",
    "fit": "resize",
    "start": "normal",
    "optimizer": "sgd",
    "lr": 40.0,
    "weight_decay": 0.0,
    "warmup": 1000,
    "epochs": 1000,
}
_WARMUPS = ("warmup", "warmup_epochs")
_VP_SMALL_BATCH = ("instagram-resnext101", MODELS["instagram-resnext101"])
"""The one model that the paper gives 32 images per step; CLIP has 256, the others 128."""


def learns_from_answers(config: TrainConfig, model: Model) -> bool:
    """Whether the run searches by answers alone: asked for, or all that the model allows.

    Raises:
        UnknownName: There is no such optimizer.
    """
    known = (*OPTIMIZERS, *QUERY_OPTIMIZERS)
    if config.optimizer is not None and config.optimizer not in known:
        close = suggest(config.optimizer, known)
        raise UnknownName(f"unknown optimizer {config.optimizer!r}.{close} Known: {', '.join(known)}.")
    if config.optimizer in OPTIMIZERS or config.method in INSIDE:
        return False
    asked = config.optimizer is not None or config.budget is not None or config.max_cost is not None
    return asked or config.method in _QUERY_METHODS or model.access < Access.GRADIENTS


def query_budget(config: TrainConfig) -> int:
    """Returns the number of queries that a search by answers may ask.

    Raises:
        ConfigError: Money is limited, but a query has no price.
    """
    limits = [] if config.budget is None else [config.budget]
    paid = affordable(config.max_cost, config.price_per_1000)
    return min([*limits, *([] if paid is None else [paid])], default=_QUERIES)


def affordable(max_cost: float | None, price_per_1000: float | None) -> int | None:
    """Returns the number of queries that money pays for; None for no limit.

    Raises:
        ConfigError: Money is limited, but a query has no price.
    """
    if max_cost is None:
        return None
    if price_per_1000 is None:
        raise ConfigError("--max-cost needs the price of a query: --price-per-1000.")
    return math.floor(max_cost / price_per_1000 * 1000 + 1e-9) if price_per_1000 > 0 else None


def resolve(config: TrainConfig, spec: ModelSpec, *, by_answers: bool = False) -> TrainConfig:
    """Returns the configuration with every None that the preset decides filled in.

    Raises:
        ConfigError: The preset is of another method, or a setting is given twice.
    """
    dual = spec.answer is AnswerKind.EMBEDDINGS
    if by_answers:
        values = {**QUERY_DEFAULTS, **_QUERY_METHODS.get(config.method, {})}
        if config.optimizer is None and "optimizer" not in values:
            values |= _SEARCH
        open_fields = {name: value for name, value in values.items() if getattr(config, name) is None}
        return config.with_values(**open_fields, budget=query_budget(config))
    if config.method in INSIDE:
        values = {**inside_defaults(config), "output": "text" if dual else "frequency"}
    elif config.preset in SA2VP_PRESETS:
        raise ConfigError(
            f"preset {config.preset!r} is for methods sa2vp-deep and sa2vp-shallow, not {config.method!r}."
        )
    elif config.preset == "default":
        values = {**DEFAULTS, "output": "text" if dual else "frequency"}
    else:
        batch = 32 if config.model in _VP_SMALL_BATCH else 256 if dual else 128
        values = {**_VP, "output": "text" if dual else "first-k", "batch_size": batch}
    open_fields = {name: value for name, value in values.items() if getattr(config, name) is None}
    given = [name for name in _WARMUPS if getattr(config, name) is not None]
    if len(given) > 1:
        raise ConfigError("--warmup and --warmup-epochs say the same in steps and in epochs; give one of them.")
    return config.with_values(
        **{name: value for name, value in open_fields.items() if not given or name not in _WARMUPS}
    )


def uses_model_units(config: TrainConfig) -> bool:
    """Whether parameters count in standard deviations of the model's normalisation, as the VP paper's do."""
    return config.preset == "vp" or config.space == "normalized"
