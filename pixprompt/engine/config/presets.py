"""What the preset decides where the user does not."""

from __future__ import annotations

import math
from typing import Any

from ...adapters import METHODS, Learning
from ...core import Access, AnswerKind, ConfigError, Model, ModelSpec, UnknownName
from ...models import MODELS
from ...optimizers import OPTIMIZERS, QUERY_OPTIMIZERS
from ...registry import suggest
from .groups import PromptSettings
from .train_config import TrainConfig

__all__ = ["affordable", "learns_from_answers", "query_budget", "resolve", "uses_model_units"]

_PROMPT: dict[str, Any] = {"template": "padding", "size": 30}
_MOMENTUM = 0.9
_ANSWERS: dict[str, Any] = {
    **_PROMPT,
    "blend": "add",
    "output": "auto",
    "basis": "dct",
    "loss": "cross-entropy",
    "momentum": _MOMENTUM,
}
"""Where only answers are learned from; chosen by measurement (experiments/query-economy)."""
_QUERIES = 2000
"""The budget of a search that was given none."""
_WHITE_BOX_RATE = 0.003
"""Of an optimizer that the user names."""
_HEADS = ("auto", "lda", "linear", "residual", "ridge")
_WARMUPS = ("warmup", "warmup_epochs")
_VP_SMALL_BATCH = ("instagram-resnext101", MODELS["instagram-resnext101"])
"""The one model that the VP paper gives 32 images per step; CLIP has 256, the others 128."""


def learns_from_answers(config: TrainConfig, model: Model) -> bool:
    """Whether the run searches by answers alone: by the user's choice, or since the model allows no more.

    Raises:
        UnknownName: There is no such optimizer.
    """
    optimizer, known = config.fit.optimizer, (*OPTIMIZERS, *QUERY_OPTIMIZERS)
    if optimizer is not None and optimizer not in known:
        close = suggest(optimizer, known)
        raise UnknownName(f"unknown optimizer {optimizer!r}.{close} Known: {', '.join(known)}.")
    if optimizer in OPTIMIZERS or config.method.access > Access.SCORES:
        return False
    is_chosen = optimizer is not None or config.search.budget is not None or config.search.max_cost is not None
    return is_chosen or config.method.learning is Learning.ANSWERS or model.access < Access.GRADIENTS


def query_budget(config: TrainConfig) -> int:
    """Returns the number of queries that a search by answers may take.

    Raises:
        ConfigError: Money is limited, but a query has no price.
    """
    search = config.search
    limits = [] if search.budget is None else [search.budget]
    affordable_queries = affordable(search.max_cost, search.price_per_1000)
    return min([*limits, *([] if affordable_queries is None else [affordable_queries])], default=_QUERIES)


def affordable(max_cost: float | None, price_per_1000: float | None) -> int | None:
    """Returns the number of queries that money pays for; None for no limit.

    Raises:
        ConfigError: Money is limited, but a query has no price; or the limit is no amount.
    """
    if max_cost is None:
        return None
    if not 0 <= max_cost < math.inf:
        raise ConfigError(f"--max-cost must be at least 0, got {max_cost}.")
    if price_per_1000 is None:
        raise ConfigError("--max-cost needs the price of a query: --price-per-1000.")
    return math.floor(max_cost / price_per_1000 * 1000 + 1e-9) if price_per_1000 > 0 else None


def resolve(config: TrainConfig, spec: ModelSpec, *, by_answers: bool = False) -> TrainConfig:
    """Returns the configuration with every None that the preset decides filled in.

    Raises:
        ConfigError: The preset is of another method, or a setting is given twice.
    """
    options = config.options()
    if by_answers:
        values = {**_ANSWERS, **_answer_defaults(config, spec), "budget": query_budget(config)}
        if config.search.views is None:
            values["views"] = "auto" if _leaves_views_open(config) else "none"
        if values.get("views", config.search.views) != "none" and not _names_search(config):
            values = {
                name: value for name, value in values.items() if name not in (*config.method.answer_defaults, "basis")
            }
        return config.with_values(**{name: value for name, value in values.items() if _is_open(options, name)})
    values = _gradient_defaults(config, spec)
    warmups = [name for name in _WARMUPS if options[name] is not None]
    if len(warmups) > 1:
        raise ConfigError("--warmup and --warmup-epochs say the same in steps and in epochs; give one of them.")
    return config.with_values(
        **{
            name: value
            for name, value in values.items()
            if options[name] is None and not (warmups and name in _WARMUPS)
        }
    )


def _leaves_views_open(config: TrainConfig) -> bool:
    """Whether nothing says that pixels are searched by answers, or how a prompt looks that no surrogate learns."""
    is_free = config.search.surrogate is not None or config.prompt == PromptSettings()
    return config.method.name == "pixel" and is_free and not _names_search(config)


def _names_search(config: TrainConfig) -> bool:
    search = config.search
    named = (config.fit.optimizer, search.basis, search.basis_size, search.sigma, search.population)
    return any(each is not None for each in named)


def _is_open(options: dict[str, Any], name: str) -> bool:
    """Whether a value is still to be decided; the budget is cut to what money pays for, whatever was given."""
    return name == "budget" or options[name] is None


def _answer_defaults(config: TrainConfig, spec: ModelSpec) -> dict[str, Any]:
    own = dict(config.method.answer_defaults)
    if config.method.learning is Learning.GRADIENTS and config.fit.optimizer is not None:
        return {}  # the sizes of its steps go with the optimizer
    if spec.answer is AnswerKind.EMBEDDINGS and "output" in own:
        own["output"] = "text"
    return own


def _gradient_defaults(config: TrainConfig, spec: ModelSpec) -> dict[str, Any]:
    method, dual = config.method, spec.answer is AnswerKind.EMBEDDINGS
    base = {"output": "text" if dual else "frequency", "momentum": _MOMENTUM, **({} if method.white_box else _PROMPT)}
    values = {**base, **(_head_defaults(config, dual) or method.defaults)}
    if dual and values["output"] == "iterative":
        values["output"] = "text"
    if config.preset != "default":
        if config.preset not in method.presets:
            having = [name for name in METHODS.builtin() if config.preset in METHODS[name].presets]
            raise ConfigError(
                f"method {method.name!r} has no preset {config.preset!r}: it is for {_methods(having)}, not "
                f"{method.name!r}."
            )
        values = {**base, **method.presets[config.preset]}
        if config.preset == "vp":
            batch = 32 if config.model.name in _VP_SMALL_BATCH else 256 if dual else 128
            values |= {"output": "text" if dual else "first-k", "batch_size": batch}
    elif method.white_box and config.fit.optimizer is not None:
        values["lr"] = _WHITE_BOX_RATE
    if config.fit.grid_search:
        values |= {"lr": None, "weight_decay": None}
        if config.preset == "default":
            values["optimizer"] = method.grid.optimizer
    return values


def _head_defaults(config: TrainConfig, dual: bool) -> dict[str, Any]:
    """Returns what a method has beside a linear head; nothing where none is learned along."""
    head = dict(config.method.head_defaults)
    if not head or not (config.output.kind in _HEADS or (config.output.kind is None and not dual)):
        return {}
    if config.prompt.size is not None or config.prompt.fit == "shrink":
        head["template"] = _PROMPT["template"]  # whoever names its width, or shrinks the image into it, has a frame
    return head


def _methods(names: list[str]) -> str:
    return f"method {names[0]}" if len(names) == 1 else f"methods {' and '.join(names)}"


def uses_model_units(config: TrainConfig) -> bool:
    """Whether parameters count in standard deviations of the model's normalisation, as the VP paper's do."""
    return config.preset == "vp" or config.prompt.space == "unclamped"
