"""AdaptFormer: a bottleneck beside the MLP of each layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Generator, Tensor

from ...backbones.vit import Layer
from ...models import TorchModel
from .base import LayerPart, LayerWise
from .dense import Bottleneck

__all__ = ["AdaptFormer"]


class AdaptFormer(LayerWise):
    """A learned bottleneck beside the MLP of each layer, on the same normed tokens; it adds 0 at first.

    With n = norm2(h), the layer returns h + scale2(mlp(n)) + s up(relu(down(n))).

    Args:
        model: A vision transformer of timm or open_clip.
        classes: K target class names.
        bottleneck: Its width.
        scale: s.
        generator: Draws the first weights.

    Raises:
        ConfigError: The model is no vision transformer, or narrower than the bottleneck.

    Reference: arXiv 2205.13535, equations 2 and 3.
    """

    options: ClassVar[tuple[str, ...]] = ("bottleneck",)

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        bottleneck: int = 64,
        scale: float = 0.1,
        generator: Generator,
    ) -> None:
        def part(width: int) -> LayerPart:
            return _BesideMLP(Bottleneck(width, bottleneck, activation="relu", generator=generator), scale)

        super().__init__(model, classes, part, generator=generator)


class _BesideMLP(LayerPart):
    def __init__(self, bottleneck: Bottleneck, scale: float) -> None:
        super().__init__()
        self.bottleneck, self.scale = bottleneck, scale

    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        tokens = tokens + layer.scale1(layer.attention(layer.norm1(tokens)))
        normed = layer.norm2(tokens)
        return tokens + layer.scale2(layer.mlp(normed)) + self.scale * self.bottleneck(normed)  # type: ignore[no-any-return]
