"""A frozen layer of a ViT in two halves, so that the pathways can share its queries, keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ...backbones import Layer

__all__ = ["Attended", "attend", "finish"]


@dataclass(frozen=True)
class Attended:
    """Tokens (N, T, D) as they enter a layer, and their queries, keys and values, each (N, heads, T, d)."""

    tokens: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor

    def rows(self, count: int) -> Attended:
        """Returns the same, but only the first tokens ask."""
        return replace(self, tokens=self.tokens[:, :count], queries=self.queries[:, :, :count])

    def split(self, sizes: Sequence[int]) -> list[Attended]:
        """Returns the streams that were put one behind the other."""
        parts = (torch.split(part, list(sizes)) for part in (self.tokens, self.queries, self.keys, self.values))
        return [Attended(*stream) for stream in zip(*parts, strict=True)]


def attend(layer: Layer, tokens: Tensor) -> Attended:
    """Norms and projects tokens (N, T, D)."""
    return Attended(tokens, *layer.split(layer.qkv(layer.norm1(tokens))))


def finish(layer: Layer, seen: Attended) -> Tensor:
    """Returns what leaves the layer for the tokens that ask, (N, rows, D): their own attention and the MLP."""
    mixed = scaled_dot_product_attention(seen.queries, seen.keys, seen.values)
    tokens = seen.tokens + layer.scale1(layer.join(mixed))
    leaving: Tensor = tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))
    return leaving
