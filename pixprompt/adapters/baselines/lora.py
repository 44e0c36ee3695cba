"""LoRA: low-rank additions to the projections of attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones.vit import Layer
from ...core import ConfigError
from ...models import TorchModel
from .base import LayerPart, LayerWise
from .dense import uniform

__all__ = ["TARGETS", "LoRA"]

TARGETS = ("q", "k", "v", "out")
"""The projections of a layer's attention."""


class LoRA(LayerWise):
    """Adds (alpha / r) B A x to projections of attention, A (r, D) and B (D, r); B = 0 at first.

    The addition is made to activations: no weight of the backbone is copied, merged or given a gradient.

    Args:
        rank: r.
        alpha: With the default rank the scale is 1.
        targets: Some of `TARGETS`.

    Raises:
        ConfigError: The model is no vision transformer, the rank exceeds D, or a target is unknown.

    Reference: arXiv 2106.09685, section 4.1.
    """

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        rank: int = 8,
        alpha: float = 8.0,
        targets: Iterable[str] = ("q", "v"),
        generator: Generator,
    ) -> None:
        wanted = dict.fromkeys(targets)
        chosen = [name for name in TARGETS if name in wanted]
        if not chosen or len(chosen) != len(wanted):
            raise ConfigError(f"targets must be some of {', '.join(TARGETS)}, got {', '.join(wanted) or 'none'}.")

        def part(width: int) -> LayerPart:
            if not 1 <= rank <= width:
                raise ConfigError(f"rank must lie in 1..{width}, the width of the layers; got {rank}.")
            pairs = {name: _LowRank(width, rank, generator=generator) for name in chosen}
            return _InAttention(pairs, alpha / rank)

        super().__init__(model, classes, part, generator=generator)


class _LowRank(nn.Module):
    def __init__(self, width: int, rank: int, *, generator: Generator) -> None:
        super().__init__()
        self.down = nn.Parameter(uniform(rank, width, generator=generator))
        self.up = nn.Parameter(torch.zeros(width, rank))


class _InAttention(LayerPart):
    def __init__(self, pairs: dict[str, _LowRank], scale: float) -> None:
        super().__init__()
        self.pairs, self.scale = nn.ModuleDict(pairs), scale

    def forward(self, layer: Layer, tokens: Tensor) -> Tensor:
        normed = layer.norm1(tokens)
        qkv = self._added(layer.qkv(normed), normed, TARGETS[:3])
        heads = F.scaled_dot_product_attention(*layer.split(qkv))
        joined = heads.transpose(1, 2).flatten(2)
        tokens = tokens + layer.scale1(self._added(layer.out(joined), joined, TARGETS[3:]))
        return tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))  # type: ignore[no-any-return]

    def _added(self, outputs: Tensor, inputs: Tensor, names: tuple[str, ...]) -> Tensor:
        """Adds to outputs (N, T, n D), one D for each of n names, what is learned of inputs (N, T, D)."""
        pairs = {name: cast(_LowRank, self.pairs[name]) for name in names if name in self.pairs}
        if not pairs:
            return outputs
        empty = next(iter(pairs.values())).up[:, :0]
        ups = [pairs[name].up if name in pairs else empty for name in names]
        # One narrow product down and one block-diagonal product up, whatever the number of targets.
        narrow = F.linear(inputs, torch.cat([pair.down for pair in pairs.values()]) * self.scale)
        return outputs + F.linear(narrow, torch.block_diag(*ups))  # type: ignore[no-untyped-call]
