"""SA²VP for a model of whichever family, from what users type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator, nn

from ...backbones import ViT
from ...core import ConfigError
from ...models import TorchModel
from ...seeds import seeded
from ..whitebox import WhiteBox, local_model
from .convnet import ConvNetSA2VP
from .options import SA2VPOptions
from .swin import SwinSA2VP
from .vit import ViTSA2VP

__all__ = ["make_sa2vp"]


def make_sa2vp(
    model: TorchModel | nn.Module,
    classes: Sequence[str],
    *,
    deep: bool = True,
    generator: Generator | None = None,
    **given: Any,
) -> WhiteBox:
    """Makes SA²VP-deep or SA²VP-shallow for a ViT, a Swin or a ConvNet.

    Args:
        model: Never changed. A plain timm net is read by timm's own data configuration.
        classes: K target class names.
        deep: See `SA2VPOptions`, as are all further options; None stands for the default.
        generator: Draws all first numbers; by default one that is seeded with 0.

    Raises:
        ConfigError: The model is of no such family, or an option does not fit it.
        RangeError: A number lies outside its range.

    Reference: arXiv 2312.10376.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if not deep and "new_maps" in given:
        raise ConfigError("new_maps is of deep mode: the shallow one has a single map. Leave it out.")
    adapter = _made(local_model(model), tuple(classes), SA2VPOptions(deep=deep, **given), seeded(generator))
    adapter.recipe = ("sa2vp-deep" if deep else "sa2vp-shallow", given)
    return adapter


def _made(model: TorchModel, classes: tuple[str, ...], options: SA2VPOptions, generator: Generator) -> WhiteBox:
    kind = {origin.__name__ for origin in type(model.net).__mro__}
    if "SwinTransformer" in kind:
        return SwinSA2VP(model, classes, options, generator=generator)
    if kind & {"ResNet", "ConvNeXt"}:
        return ConvNetSA2VP(model, classes, options, generator=generator)
    try:
        ViT(model)
    except ConfigError as error:
        raise ConfigError(f"SA²VP takes a Swin (version 1), a ResNet, a ConvNeXt or a plain ViT; {error}") from error
    return ViTSA2VP(model, classes, options, generator=generator)
