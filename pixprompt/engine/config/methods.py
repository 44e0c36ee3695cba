"""Methods that reach into the model: their names, their settings, and how an adapter of each is made.

Without `--search`, the defaults are this tool's (experiments/vpt): prompts move by AdamW there, since by SGD whole
runs collapsed at rates that others needed. The grids of `--search` are the VPT paper's: SGD for prompts and heads,
AdamW where weights of the backbone's own kind are tuned (arXiv 2203.12119, appendix A; scaled by batch size / 256 as
in its public code).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Generator

from ...adapters import SA2VP_PRESETS, WhiteBox, make_baseline, make_sa2vp, make_vpt
from ...core import Access, AccessError, ConfigError, Model
from ...models import TorchModel
from ...optimizers import OPTIMIZERS
from .train_config import TrainConfig

__all__ = ["INSIDE", "check_inside", "grids", "inside_defaults", "make_adapter", "scales"]

_VPT = ("tokens", "location", "pool", "dropout", "projection")
_SA2VP = ("bottleneck", "activation", "rank", "map_scale", "window", "gamma", "balance", "dropout")
INSIDE: dict[str, tuple[str, ...]] = {
    "linear": (),
    "mlp": ("layers",),
    "partial": ("layers",),
    "bias": (),
    "adapter": ("reduction",),
    "side": (),
    "lora": ("rank",),
    "adaptformer": ("bottleneck",),
    "full": (),
    "vpt-shallow": _VPT,
    "vpt-deep": (*_VPT, "depth", "depth_from", "shared"),
    "sa2vp-shallow": _SA2VP,
    "sa2vp-deep": _SA2VP,
}
"""Method -> its own settings."""
_OWN = tuple(dict.fromkeys(name for names in INSIDE.values() for name in names))
_BY_SA2VP = ("sa2vp-shallow", "sa2vp-deep")
_PIXEL = ("blend", "fit", "start", "place", "template", "size", "opacity", "delta_scale")
_BY_SGD = ("linear", "mlp", "side")
_BY_VPT = ("vpt-shallow", "vpt-deep")
_PAPERS_SGD = (*_BY_SGD, *_BY_VPT)
_DEFAULTS: dict[str, Any] = {"epochs": 30, "batch_size": 32, "warmup": 50}
_PROMPT_RATES = (50.0, 25.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05)
_WEIGHT_RATES = (0.005, 0.001, 0.0005, 0.0001)
_MAP_RATES = (0.01, 0.003, 0.001, 0.0003)
"""Of SA²VP, not scaled to the batch size; its paper has 0.001 and 0.0005."""
_DECAYS = (0.01, 0.001, 0.0001, 0.0)
_REFERENCE_BATCH = 256
_RATES = {"sgd": 0.003, "adamw": 0.003, "adam": 0.003}
_OWN_RATES = {"vpt-deep": 0.01, "side": 0.01, "partial": 0.001, "full": 0.0003}


def inside_defaults(config: TrainConfig) -> dict[str, Any]:
    """Returns what the preset decides for a method that reaches into the model."""
    if config.preset in SA2VP_PRESETS and config.method in _BY_SA2VP:
        chosen = SA2VP_PRESETS[config.preset]
        return {**chosen, "lr": None, "weight_decay": None} if config.search else chosen
    by_sgd = config.method in (_PAPERS_SGD if config.search else _BY_SGD)
    optimizer = config.optimizer or ("sgd" if by_sgd else "adamw")
    rate = _OWN_RATES.get(config.method) if config.optimizer is None else None
    return {**_DEFAULTS, "optimizer": optimizer, "lr": None if config.search else rate or _RATES.get(optimizer)}


def check_inside(config: TrainConfig, model: Model) -> None:
    """Makes sure that the settings of a run go together with its method.

    Raises:
        AccessError: The method reaches into a model that cannot be opened.
        ConfigError: A setting would do nothing.
    """
    own = INSIDE.get(config.method)
    names = _OWN if own is None else (*(name for name in _OWN if name not in own), *_PIXEL)
    given = [name for name in names if getattr(config, name) != getattr(TrainConfig, name)]
    if given:
        takes = "" if own is None else f" It takes: {', '.join(map(_option, own))}." if own else " It takes none."
        raise ConfigError(f"{_option(given[0])} does nothing with method {config.method!r}; leave it out.{takes}")
    if own is None:
        if config.search or config.seeds != 1:
            raise ConfigError(f"--search and --seeds serve methods that reach into the model, not {config.method!r}.")
        return
    if model.access < Access.INTERNALS or not isinstance(model, TorchModel):
        raise AccessError(
            f"method {config.method!r} needs INTERNALS access, but {model.spec.name} offers {model.access.name}. Use "
            "method 'pixel', or a local torch model."
        )
    if config.optimizer not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise ConfigError(f"method {config.method!r} learns by gradients: {known}; got {config.optimizer!r}.")
    _check_recipe(config)
    if config.method == "mlp" and config.batch_size == 1:
        raise ConfigError("method 'mlp' has batch statistics; --batch-size must be at least 2, got 1.")
    _check_search(config)


def _check_recipe(config: TrainConfig) -> None:
    if config.preset != "default" and (config.preset not in SA2VP_PRESETS or config.method not in _BY_SA2VP):
        raise ConfigError(
            f"method {config.method!r} has no preset {config.preset!r}: preset vp is about pixel prompts, presets "
            "sa2vp-... about methods sa2vp-deep and sa2vp-shallow."
        )
    if config.space != "pixel":
        raise ConfigError(f"--space is about pixel prompts, not about method {config.method!r}; leave it out.")
    if config.method in _BY_SA2VP and config.bottleneck == 0 and config.activation is not None:
        raise ConfigError("--activation is inside the prompt adapters, which --bottleneck 0 leaves out.")


def _check_search(config: TrainConfig) -> None:
    if config.search:
        grids(config)
        if config.epochs == 0:
            raise ConfigError("--search compares what was learned; --epochs must be at least 1, got 0.")
        for name, given in (("lr", config.lr is not None), ("weight_decay", config.weight_decay)):
            if given:
                raise ConfigError(
                    f"--search chooses {_option(name)}; leave it out, or give the values to try: {_option(name)}-grid."
                )
        return
    idle = [name for name in ("lr_grid", "weight_decay_grid") if getattr(config, name) is not None]
    if config.seeds != 1:
        idle.append("seeds")
    if idle:
        raise ConfigError(f"{_option(idle[0])} goes with --search; leave it out.")


def scales(config: TrainConfig) -> bool:
    """Whether `--search` scales its learning rates to the batch size."""
    return config.lr_grid is None and (config.method not in _BY_SA2VP or config.optimizer == "sgd")


def grids(config: TrainConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the learning rates and the weight decays that `--search` tries.

    Raises:
        ConfigError: A list of numbers cannot be read.
    """
    if config.lr_grid is not None:
        tried = _numbers("lr_grid", config.lr_grid)
    elif scales(config):
        scale = (config.batch_size or 0) / _REFERENCE_BATCH
        tried = tuple(rate * scale for rate in (_PROMPT_RATES if config.optimizer == "sgd" else _WEIGHT_RATES))
    else:
        tried = _MAP_RATES
    decays = _DECAYS if config.weight_decay_grid is None else _numbers("weight_decay_grid", config.weight_decay_grid)
    return tuple(sorted(tried)), tuple(sorted(decays))


def make_adapter(config: TrainConfig, model: Model, classes: tuple[str, ...], *, generator: Generator) -> WhiteBox:
    """Makes the adapter of a run, as it starts.

    Raises:
        AccessError: The model cannot be opened.
        ConfigError: It is of another family than the method needs, or the settings do not fit it.
    """
    if not isinstance(model, TorchModel):
        raise AccessError(f"method {config.method!r} needs a local torch model, got {model.spec.name}.")
    if config.method in _BY_VPT:
        deep = config.method == "vpt-deep"
        return make_vpt(model, classes, deep=deep, generator=generator, **_given(config, INSIDE["vpt-deep"]))
    if config.method in _BY_SA2VP:
        deep = config.method == "sa2vp-deep"
        return make_sa2vp(model, classes, deep=deep, generator=generator, **_given(config, _SA2VP))
    options = ("layers", "reduction", "bottleneck", "rank")
    return make_baseline(config.method, model, classes, generator=generator, **_given(config, options))


def _given(config: TrainConfig, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError as error:
        raise ConfigError(f"{_option(name)} is numbers joined by commas, got {text!r}.") from error
    if any(not 0 <= number < float("inf") for number in found):
        raise ConfigError(f"{_option(name)}: numbers must be at least 0, got {text!r}.")
    return found


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
