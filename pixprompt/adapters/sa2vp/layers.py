"""A frozen layer of a ViT in two halves, so that the pathways can share its queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ...backbones import Layer

__all__ = ["LayerTokens", "finish", "start"]


@dataclass(frozen=True)
class LayerTokens:
    """Tokens (N, T, D) as they enter a layer, and their queries, keys and values, each (N, heads, T, d)."""

    tokens: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor

    def first(self, count: int) -> LayerTokens:
        """Returns the same with the queries of the first tokens alone."""
        return replace(self, tokens=self.tokens[:, :count], queries=self.queries[:, :, :count])


def start(layer: Layer, tokens: Tensor) -> LayerTokens:
    """Norms and projects tokens (N, T, D)."""
    return LayerTokens(tokens, *layer.split(layer.qkv(layer.norm1(tokens))))


def finish(layer: Layer, projected: LayerTokens) -> Tensor:
    """Returns what leaves the layer for each query, (N, queries, D): its own attention and the MLP."""
    mixed = scaled_dot_product_attention(projected.queries, projected.keys, projected.values)
    tokens = projected.tokens + layer.scale1(layer.join(mixed))
    leaving: Tensor = tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))
    return leaving
