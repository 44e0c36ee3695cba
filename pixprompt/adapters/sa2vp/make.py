"""SA²VP for a model of whichever family, from what users type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator, nn

from ...backbones import ViT
from ...core import ConfigError
from ...models import TorchModel
from ..whitebox import WhiteBox, make_white_box
from .convnet import ConvNetSA2VP
from .options import SA2VPOptions
from .pathways import SA2VP
from .swin import SwinSA2VP
from .vit import ViTSA2VP

__all__ = ["make_sa2vp", "sa2vp_of"]


def make_sa2vp(
    model: TorchModel | nn.Module,
    classes: Sequence[str],
    *,
    deep: bool = True,
    generator: Generator | None = None,
    **options: Any,
) -> WhiteBox:
    """Makes SA²VP-deep or SA²VP-shallow for a ViT, a Swin or a ConvNet.

    Args:
        model: Never changed. A plain timm net is read by timm's own data configuration.
        generator: Draws all first parameters; by default one that is seeded with 0.
        options: See `SA2VPOptions`; None stands for the default.

    Raises:
        ConfigError: The model is of no such family, or an option does not fit it.
        RangeError: A value lies outside its range.

    Reference: arXiv 2312.10376.
    """
    return make_white_box("sa2vp-deep" if deep else "sa2vp-shallow", model, classes, generator=generator, **options)


def sa2vp_of(model: TorchModel, classes: tuple[str, ...], *, generator: Generator, **options: Any) -> SA2VP:
    """Makes what `make_sa2vp` describes, of options that are not None."""
    kind, chosen = {origin.__name__ for origin in type(model.net).__mro__}, SA2VPOptions(**options)
    if "SwinTransformer" in kind:
        return SwinSA2VP(model, classes, chosen, generator=generator)
    if kind & {"ResNet", "ConvNeXt"}:
        return ConvNetSA2VP(model, classes, chosen, generator=generator)
    try:
        ViT(model)
    except ConfigError as error:
        raise ConfigError(f"SA²VP takes a Swin (version 1), a ResNet, a ConvNeXt or a plain ViT; {error}") from error
    return ViTSA2VP(model, classes, chosen, generator=generator)
