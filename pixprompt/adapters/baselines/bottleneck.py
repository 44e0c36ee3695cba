"""Bottlenecks at the MLP of each layer: after it (adapters), or beside it (AdaptFormer)."""

from __future__ import annotations

from torch import Generator, Tensor

from ...backbones.vit import Layer
from ...models import TorchModel
from .base import LayerPart, LayerWise, at_least_one
from .dense import Bottleneck

__all__ = ["AdaptFormer", "BottleneckAdapter"]


class BottleneckAdapter(LayerWise):
    """A learned bottleneck after the MLP of each layer, the identity at first.

    With m = scale2(mlp(norm2(h))), the layer returns h + m + up(act(down(m))).

    Args:
        reduction: The layer's width over the bottleneck's.
        activation: "gelu" or "relu".

    Raises:
        ConfigError: The reduction leaves no bottleneck.

    Reference: arXiv 2005.00247 (Pfeiffer); arXiv 2203.12119, section 4.1 (Adapter).
    """

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


class AdaptFormer(LayerWise):
    """A learned bottleneck beside the MLP of each layer, on the same normed tokens; it adds 0 at first.

    With n = norm2(h), the layer returns h + scale2(mlp(n)) + s up(relu(down(n))).

    Args:
        scale: s.

    Raises:
        ConfigError: The model is narrower than the bottleneck.

    Reference: arXiv 2205.13535, equations 2 and 3.
    """

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


class _AfterMLP(LayerPart):
    def __init__(self, bottleneck: Bottleneck) -> None:
        super().__init__()
        self.bottleneck = bottleneck

    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        tokens = tokens + layer.scale1(layer.attention(layer.norm1(tokens)))
        branch = layer.scale2(layer.mlp(layer.norm2(tokens)))
        return tokens + branch + self.bottleneck(branch)  # type: ignore[no-any-return]


class _BesideMLP(LayerPart):
    def __init__(self, bottleneck: Bottleneck, scale: float) -> None:
        super().__init__()
        self.bottleneck, self.scale = bottleneck, scale

    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        tokens = tokens + layer.scale1(layer.attention(layer.norm1(tokens)))
        normed = layer.norm2(tokens)
        return tokens + layer.scale2(layer.mlp(normed)) + self.scale * self.bottleneck(normed)  # type: ignore[no-any-return]
