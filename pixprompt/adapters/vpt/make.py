"""VPT for a model of whichever family, from what users type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Generator, nn

from ...backbones import ViT
from ...backbones.swin import Swin
from ...core import ConfigError
from ...models import TorchModel
from ..whitebox import WhiteBox, make_white_box
from .convnet import ChannelConvNet, PaddedConvNet
from .options import VPTOptions
from .swin import SwinVPT
from .vit import ViTVPT

__all__ = ["make_vpt", "vpt_of"]

_TOKENS = 10
_DEEP_DROPOUT = 0.1
_CONVNETS = {"ConvNeXt", "ResNet"}


def make_vpt(
    model: TorchModel | nn.Module,
    classes: Sequence[str],
    *,
    deep: bool = True,
    generator: Generator | None = None,
    **options: Any,
) -> WhiteBox:
    """Makes VPT-shallow or VPT-deep for a ViT or a Swin, or VPT's learned pixels for a ConvNet.

    Args:
        model: Never changed. A plain timm net is read by timm's own data configuration.
        deep: Prompts at every layer, or at `depth` of them; False for the input alone.
        generator: Draws all first parameters; by default one that is seeded with 0.
        options: See `VPTOptions` for a ViT and `SwinVPT` for a Swin; None stands for the default. There are 10 tokens
            per layer, and deep prompts have a dropout of 0.1. For a ConvNet `location` is "padding", with `tokens`
            pixels on each side (5), or "concat-channel", with `tokens` channels beneath the image (1).

    Raises:
        ConfigError: The options do not fit the model, or each other.
        RangeError: A value lies outside its range.

    Reference: arXiv 2203.12119.
    """
    return make_white_box("vpt-deep" if deep else "vpt-shallow", model, classes, generator=generator, **options)


def vpt_of(
    model: TorchModel, classes: tuple[str, ...], *, deep: bool, generator: Generator, **options: Any
) -> WhiteBox:
    """Makes what `make_vpt` describes, of options that are not None."""
    if deep and options.get("tokens") != 0:
        options.setdefault("dropout", _DEEP_DROPOUT)
    kind = {origin.__name__ for origin in type(model.net).__mro__}
    if kind & _CONVNETS:
        return _for_convnet(model, classes, deep, options, generator)
    if "SwinTransformer" in kind:
        return _for_swin(model, classes, deep, options, generator)
    return _for_vit(model, classes, deep, options, generator)


def _for_vit(
    model: TorchModel, classes: tuple[str, ...], deep: bool, options: dict[str, Any], generator: Generator
) -> WhiteBox:
    _refuse(options, "a ViT", {"layout": ()})
    location = options.get("location", "prepend")
    if deep and location in ("prepend-pixel", "concat-channel"):
        raise ConfigError(f"location {location!r} is the input of the whole model. Choose vpt-shallow.")
    if location in ("add", "add-one"):
        options.setdefault("tokens", None)
    options.setdefault("tokens", 1 if location == "concat-channel" else _TOKENS)
    if deep and location == "prepend" and options.get("depth_from") == "top" and "depth" not in options:
        raise ConfigError("depth_from 'top' counts the layers of depth: say how many, or leave it out.")
    if deep:
        options.setdefault("depth", ViT(model).depth)
    return ViTVPT(model, classes, VPTOptions(**options), generator=generator)


def _for_swin(
    model: TorchModel, classes: tuple[str, ...], deep: bool, options: dict[str, Any], generator: Generator
) -> WhiteBox:
    Swin(model)
    _refuse(options, "a Swin", {"location": ("prepend",), "depth_from": ("bottom",), "shared": (False,)})
    for name in ("location", "depth_from", "shared"):
        options.pop(name, None)
    return SwinVPT(model, classes, deep=deep, generator=generator, **{"tokens": _TOKENS, **options})


def _for_convnet(
    model: TorchModel, classes: tuple[str, ...], deep: bool, options: dict[str, Any], generator: Generator
) -> WhiteBox:
    if deep:
        raise ConfigError(f"{model.spec.name} is a ConvNet: it has prompts at its input only. Choose vpt-shallow.")
    allowed: dict[str, tuple[object, ...]] = dict.fromkeys(options.keys() - {"tokens"}, ())
    _refuse(options, "a ConvNet", {**allowed, "location": ("padding", "concat-channel")})
    if options.get("location") == "concat-channel":
        return ChannelConvNet(model, classes, channels=options.get("tokens", 1), generator=generator)
    return PaddedConvNet(model, classes, pad=options.get("tokens", 5), generator=generator)


def _refuse(options: Mapping[str, Any], what: str, allowed: Mapping[str, tuple[object, ...]]) -> None:
    for name, values in allowed.items():
        if name in options and options[name] not in values:
            advice = f"choose {' or '.join(map(str, values))}" if values and False not in values else "leave it out"
            raise ConfigError(f"VPT of {what} does not know {name} {options[name]!r}; {advice}.")
