"""What a segmentation run is made of: one frozen value, in JSON and on the command line alike."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..core import ConfigError
from ..registry import suggest

__all__ = ["METHODS", "SegmentConfig", "config_from_json", "run_config", "with_absolute_paths"]

METHODS = {
    "head": "the head alone, on the frozen backbone",
    "bias": "the head and the backbone's bias vectors (BitFit, arXiv 2106.10199)",
    "full": "the head and the whole backbone, on a copy of it",
    "vpt-shallow": "the head and prompt tokens before the first layer (arXiv 2203.12119)",
    "vpt-deep": "the head and prompt tokens before every layer (arXiv 2203.12119)",
}
_TYPES: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float), "str": str}
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}


def _option(
    default: Any, text: str, choices: tuple[str, ...] = (), *, low: float | None = None, below: float = math.inf
) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "low": low, "below": below})


@dataclass(frozen=True)
class SegmentConfig:
    """All settings of a run; the `help` of each field is that of the option of the same name.

    The recipe is SETR's (arXiv 2012.15840) where it says something: SGD, polynomial decay, a rate for the backbone's
    own tensors that is a tenth of the head's.

    Raises:
        ConfigError: A value is of the wrong type, or outside its choices or its range.
    """

    model: str = _option("", "vision transformer: a short name, timm: or open_clip:")
    weights: str | None = _option(None, "weights file for the model (.safetensors, or a torch file)")
    data: str = _option("", "labelled images: ade20k:PATH, a folder laid out as ADE20K is")
    reduce_zero_label: bool = _option(True, "label 0 of the files means 'none of the classes' and is left out")
    method: str = _option("vpt-deep", "what is learned", tuple(METHODS))
    tokens: int = _option(10, "of vpt: prompt tokens per layer", low=0)
    channels: int = _option(256, "width of the SETR-PUP head", low=1)
    auxiliary: bool = _option(False, "train SETR's three auxiliary heads, too; they are thrown away afterwards")
    crop: int | None = _option(None, "side of a crop in pixels, in whole patches; the model's own image size", low=1)
    photometric: bool = _option(False, "vary brightness, contrast, saturation and hue of training crops")
    lr: float = _option(0.01, "learning rate of the head", low=0)
    inner_lr: float | None = _option(
        None, "of the prompts, or of the backbone's tensors; --lr for prompts, a tenth of it for the others", low=0
    )
    momentum: float = _option(0.9, "momentum", low=0, below=1)
    weight_decay: float = _option(0.0, "weight decay", low=0)
    power: float = _option(0.9, "of the decay of the learning rates, (1 - step / steps) ** power", low=0)
    epochs: int = _option(50, "passes over the training images, a crop of each", low=1)
    batch_size: int = _option(8, "crops per step", low=1)
    val_images: int | None = _option(
        None, "training images kept for selection; a tenth, at most 500, of those that there are", low=1
    )
    multi_scale: bool = _option(False, "score the test images with several scales and mirrored, too")
    seed: int = _option(0, "of the split, the crops and the first numbers", low=0)
    device: str = _option("auto", "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one")
    precision: str = _option(
        "auto",
        "of training steps; scores are always float32. auto: bf16 on GPUs that have it",
        ("auto", "fp32", "bf16"),
    )
    workers: int = _option(2, "threads that read images", low=1)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None or "None" not in str(item.type):
                _check(item.name, value, str(item.type).split(" ")[0], dict(item.metadata))

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def with_values(self, **values: Any) -> SegmentConfig:
        """Returns a copy with other values.

        Raises:
            ConfigError: A name is not a setting.
        """
        known = {item.name for item in fields(self)}
        for name in values:
            if name not in known:
                raise ConfigError(f"unknown setting {name!r}.{suggest(name, known)}")
        return replace(self, **values)


def _check(name: str, value: Any, kind: str, known: dict[str, Any]) -> None:
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ConfigError(f"{name} must be {_WORDS[kind]}, got {value!r}.")
    if known["choices"] and value not in known["choices"]:
        raise ConfigError(
            f"unknown {name} {value!r}.{suggest(value, known['choices'])} Known: {', '.join(known['choices'])}."
        )
    low, below = known["low"], known["below"]
    if low is not None and not low <= value < below:
        least = f"at least {low}" + ("" if below == math.inf else f" and below {below}")
        raise ConfigError(f"{name} must be {least}, got {value}.")


def config_from_json(values: Any, *, source: str | Path) -> SegmentConfig:
    """Reads a configuration.

    Raises:
        ConfigError: A name is not a setting, with a suggestion.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a JSON object of settings, got {type(values).__name__}.")
    try:
        return SegmentConfig().with_values(**values)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{source}: {error}") from error


def run_config(folder: Path) -> SegmentConfig:
    """Reads the configuration of a run directory.

    Raises:
        ConfigError: It is none of a segmentation run.
    """
    path = folder / "config.json"
    try:
        return config_from_json(json.loads(path.read_text("utf-8")), source=path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is no run of 'pixprompt segment train': {error}") from error


def with_absolute_paths(config: SegmentConfig) -> SegmentConfig:
    """Returns the configuration with paths that mean the same in every folder."""

    def absolute(value: str, prefix: str) -> str:
        if not value.startswith(prefix):
            return value
        return prefix + os.path.abspath(os.path.expanduser(value.removeprefix(prefix)))

    return replace(
        config,
        model=absolute(config.model, "open_clip:local-dir:"),
        weights=config.weights and absolute(config.weights, ""),
        data=absolute(config.data, "ade20k:"),
    )
