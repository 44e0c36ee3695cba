"""VPT for a model of whichever family, from what users type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Generator, nn

from ...backbones import ViT
from ...backbones.swin import Swin
from ...core import ConfigError
from ...models import TorchModel
from ...seeds import seeded
from ..whitebox import WhiteBox, local_model
from .convnet import ChannelConvNet, PaddedConvNet
from .options import VPTOptions
from .swin import SwinVPT
from .vit import ViTVPT

__all__ = ["make_vpt"]

_TOKENS = 10
_DEEP_DROPOUT = 0.1
_CONVNETS = ("ConvNeXt", "ResNet")


def make_vpt(
    model: TorchModel | nn.Module,
    classes: Sequence[str],
    *,
    deep: bool = True,
    tokens: int | None = None,
    depth: int | None = None,
    depth_from: str | None = None,
    shared: bool = False,
    location: str | None = None,
    pool: str | None = None,
    dropout: float | None = None,
    projection: int | None = None,
    layout: str | None = None,
    generator: Generator | None = None,
) -> WhiteBox:
    """Makes VPT-shallow or VPT-deep for a ViT or a Swin, or VPT's learned pixels for a ConvNet.

    Args:
        model: Never changed. A plain timm net is read by timm's own data configuration.
        classes: K target class names.
        deep: Prompts at every layer, or at `depth` of them; False for the input alone.
        tokens: Prompts per layer, 10 by default; for a ConvNet the pixels on each side, 5 by default, or the
            channels beneath the image, 1 by default.
        depth: With `deep`, how many layers have prompts of their own; all by default.
        depth_from: "bottom" (the default) or "top": where these layers are.
        shared: The same prompts at all of them.
        location: Of LOCATIONS, "prepend" by default; "padding" (the default) or "concat-channel" for a ConvNet.
        pool: What the head reads, of POOLS: CLS of a ViT and image tokens of a Swin by default. (The paper's public
            code reads "image-and-prompt" of a Swin; see `SwinVPT`.)
        dropout: Of prompts, in [0, 1); 0.1 for deep and 0 for shallow ones by default.
        projection: Width of prompts before a learned linear layer; none by default.
        layout: Of a Swin: "image" by default; "legacy" reproduces a defect of the public code, see `prompted_block`.
        generator: Draws all first numbers; by default one that is seeded with 0.

    Raises:
        ConfigError: The options do not fit the model, or each other.
        RangeError: A number lies outside its range.

    Reference: arXiv 2203.12119.
    """
    options: dict[str, Any] = {
        "tokens": tokens,
        "depth": depth,
        "depth_from": depth_from,
        "shared": shared or None,
        "location": location,
        "pool": pool,
        "dropout": dropout,
        "projection": projection,
        "layout": layout,
    }
    options = {name: value for name, value in options.items() if value is not None}
    adapter = _made(local_model(model), tuple(classes), deep, options, seeded(generator))
    adapter.recipe = ("vpt-deep" if deep else "vpt-shallow", options)
    return adapter


def _made(
    model: TorchModel, classes: tuple[str, ...], deep: bool, options: Mapping[str, Any], generator: Generator
) -> WhiteBox:
    names = ("depth", "depth_from", "shared", "location", "pool", "dropout", "projection", "layout")
    given, tokens = {name: options.get(name) for name in names}, options.get("tokens")
    if not deep and given["depth"] not in (None, 1):
        raise ConfigError(f"vpt-shallow has prompts at one layer, got depth {given['depth']}. Choose vpt-deep.")
    if given["dropout"] is None and deep and tokens != 0:
        given["dropout"] = _DEEP_DROPOUT
    kind = {origin.__name__ for origin in type(model.net).__mro__}
    if kind.intersection(_CONVNETS):
        return _for_convnet(model, classes, deep, tokens, given, generator)
    if "SwinTransformer" in kind:
        return _for_swin(model, classes, deep, _TOKENS if tokens is None else tokens, given, generator)
    return _for_vit(model, classes, deep, tokens, given, generator)


def _for_vit(
    model: TorchModel,
    classes: tuple[str, ...],
    deep: bool,
    tokens: int | None,
    given: Mapping[str, Any],
    generator: Generator,
) -> WhiteBox:
    _refuse(given, "a ViT", {"layout": ()})
    chosen = {name: value for name, value in given.items() if value is not None}
    place = chosen.get("location", "prepend")
    if deep and place in ("prepend-pixel", "concat-channel"):
        raise ConfigError(f"location {place!r} is the input of the whole model. Choose vpt-shallow.")
    if tokens is None and place not in ("add", "add-one"):
        tokens = 1 if place == "concat-channel" else _TOKENS
    if deep and place == "prepend" and chosen.get("depth_from") == "top" and "depth" not in chosen:
        raise ConfigError("depth_from 'top' counts the layers of depth: say how many, or leave it out.")
    if deep:
        chosen.setdefault("depth", ViT(model).depth)
    return ViTVPT(model, classes, VPTOptions(tokens=tokens, **chosen), generator=generator)


def _for_swin(
    model: TorchModel,
    classes: tuple[str, ...],
    deep: bool,
    tokens: int,
    given: Mapping[str, Any],
    generator: Generator,
) -> WhiteBox:
    Swin(model)
    _refuse(given, "a Swin", {"location": ("prepend",), "depth_from": ("bottom",), "shared": ()})
    names = ("depth", "pool", "dropout", "projection", "layout")
    chosen = {name: given[name] for name in names if given[name] is not None}
    return SwinVPT(model, classes, tokens=tokens, deep=deep, generator=generator, **chosen)


def _for_convnet(
    model: TorchModel,
    classes: tuple[str, ...],
    deep: bool,
    tokens: int | None,
    given: Mapping[str, Any],
    generator: Generator,
) -> WhiteBox:
    if deep:
        raise ConfigError(f"{model.spec.name} is a ConvNet: it has prompts at its input only. Choose vpt-shallow.")
    allowed: dict[str, tuple[str, ...]] = dict.fromkeys(given, ())
    _refuse(given, "a ConvNet", {**allowed, "depth": (), "location": ("padding", "concat-channel")})
    if given["location"] == "concat-channel":
        return ChannelConvNet(model, classes, channels=1 if tokens is None else tokens, generator=generator)
    return PaddedConvNet(model, classes, pad=5 if tokens is None else tokens, generator=generator)


def _refuse(given: Mapping[str, Any], what: str, allowed: Mapping[str, tuple[str, ...]]) -> None:
    for name, values in allowed.items():
        if given[name] is not None and given[name] not in values:
            advice = f"choose {' or '.join(values)}" if values else "leave it out"
            raise ConfigError(f"VPT of {what} does not know {name} {given[name]!r}; {advice}.")
