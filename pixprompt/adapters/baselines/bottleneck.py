"""Adapters: a bottleneck with a residual connection after the MLP of each layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Generator, Tensor

from ...backbones.vit import Layer
from ...models import TorchModel
from .base import LayerPart, LayerWise, at_least_one
from .dense import Bottleneck

__all__ = ["BottleneckAdapter"]


class BottleneckAdapter(LayerWise):
    """A learned bottleneck after the MLP of each layer, the identity at first.

    With m = scale2(mlp(norm2(h))), the layer returns h + m + up(act(down(m))).

    Args:
        model: A vision transformer of timm or open_clip.
        classes: K target class names.
        reduction: The layer's width over the bottleneck's.
        activation: "gelu" or "relu".
        generator: Draws the first weights.

    Raises:
        ConfigError: The model is no vision transformer, or the reduction leaves no bottleneck.

    Reference: arXiv 2005.00247 (Pfeiffer); arXiv 2203.12119, section 4.1 (Adapter).
    """

    options: ClassVar[tuple[str, ...]] = ("reduction",)

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        reduction: int = 8,
        activation: str = "gelu",
        generator: Generator,
    ) -> None:
        at_least_one("reduction", reduction)

        def part(width: int) -> LayerPart:
            return _AfterMLP(Bottleneck(width, width // reduction, activation=activation, generator=generator))

        super().__init__(model, classes, part, generator=generator)


class _AfterMLP(LayerPart):
    def __init__(self, bottleneck: Bottleneck) -> None:
        super().__init__()
        self.bottleneck = bottleneck

    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        tokens = tokens + layer.scale1(layer.attention(layer.norm1(tokens)))
        branch = layer.scale2(layer.mlp(layer.norm2(tokens)))
        return tokens + branch + self.bottleneck(branch)  # type: ignore[no-any-return]
