"""From a name to a model."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..core import ConfigError, Model, ModelError, UnknownName
from ..registry import suggest
from ..urls import plain_url
from .short_names import MODELS
from .torch_model import TorchModel

__all__ = ["PREFIXES", "full_name", "load_model"]

PREFIXES = {
    "open_clip": "open_clip:NAME/PRETRAINED, open_clip:local-dir:PATH",
    "timm": "timm:NAME",
    "torchvision": "torchvision:NAME, torchvision:NAME/WEIGHTS",
    "bundle": "bundle:FOLDER",
    "python": "python:module:attribute, python:module:attribute@SIZE",
}
"""Prefix -> the forms that it takes."""

# The libraries are imported only when one of their models is wanted.
_FILES = {
    "open_clip": "families.open_clip_",
    "timm": "families.timm_",
    "torchvision": "families.torchvision_",
    "bundle": "families.bundle",
    "python": "python_callable.as_model",
    "efficientnet_lite": "families.efficientnet_lite",
    "moco_v3": "families.moco_v3",
}
_ANY_SIDE = ("timm", "torchvision", "efficientnet_lite")
"""Prefixes of nets that may take smaller or larger images, NAME@SIDE."""


def load_model(name: str, *, weights: str | Path | None = None, device: str = "cpu", pretrained: bool = True) -> Model:
    """Builds a model from a short name or from PREFIX:TARGET.

    Args:
        name: A name of MODELS, or one of the forms in PREFIXES; behind a convolutional net @SIDE, in pixels, for images
            of another size than its own.
        weights: A file to take the weights from, .safetensors or a torch file with tensors only.
        pretrained: Whether weights are looked for where no file is given; without them its answers mean nothing.

    Returns:
        The model, in evaluation mode, with frozen weights.

    Raises:
        ConfigError: The device cannot be used.
        ModelError: It cannot be built; the message says what was looked for and what to do.
        UnknownName: Nothing is known under that name.
    """
    base, side = _split_side(name)
    prefix, _, target = full_name(base).partition(":")
    load: Callable[..., Model] = importlib.import_module(f".{_FILES[prefix]}", __package__).load
    options: dict[str, bool] = {} if pretrained or prefix in ("python", "bundle") else {"pretrained": False}
    model = load(target, name=name, weights=None if weights is None else Path(weights), **options)
    if isinstance(model, nn.Module):
        try:
            model.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).split("\n")[0]
            raise ConfigError(f"device {device!r} cannot be used: {reason}. The processor is 'cpu'.") from error
    if side and isinstance(model, TorchModel):
        _set_side(model, side)
    return model


def _split_side(name: str) -> tuple[str, int]:
    """Returns a name without its @SIDE, and the side; 0 where it has none."""
    match = re.fullmatch(r"(.+)@([1-9]\d{0,3})", name)
    if match:
        full = MODELS[match[1]] if match[1] in MODELS else match[1]
        if full.partition(":")[0] in _ANY_SIDE:
            return match[1], int(match[2])
    return name, 0


@torch.no_grad()
def _set_side(model: TorchModel, side: int) -> None:
    """Has a model take square images of another size.

    Raises:
        ModelError: Its net answers images of its own size alone.
    """
    own = model.spec
    try:
        model.net(model.prepare(model.mean.new_zeros(1, 3, side, side)))
    except (RuntimeError, AssertionError, ValueError) as error:
        height, width = own.image_size
        reason = " ".join(str(error).split())
        raise ModelError(f"{own.name!r} does not work: the net takes {height}x{width} pixels ({reason}).") from error
    model.spec = replace(own, image_size=(side, side))


def full_name(name: str) -> str:
    """Returns PREFIX:TARGET of a name.

    Raises:
        UnknownName: Nothing is known under it.
    """
    if name in MODELS:
        return MODELS[name]
    prefix, colon, _ = name.partition(":")
    if colon and (prefix in PREFIXES or prefix in _FILES):
        return name
    guess = suggest(prefix, PREFIXES) if colon else suggest(name, MODELS)
    source = plain_url(name) if "/" in name else name  # a mistyped URL may hold a password
    raise UnknownName(
        f"unknown model {source!r}.{guess} Known: {', '.join(MODELS)}; or one of {'; '.join(PREFIXES.values())}."
    )
