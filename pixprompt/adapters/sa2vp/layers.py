"""A frozen layer of a ViT for several streams in one pass, which leaves their queries, keys and values to be shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ...backbones import Layer

__all__ = ["Attended", "attend", "finish", "together"]


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

    def images(self, sizes: Sequence[int]) -> list[Attended]:
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


def together(layer: Layer, streams: Sequence[Tensor]) -> tuple[list[Attended], list[Tensor]]:
    """Runs streams (n, T, D) of any n and T through a layer, those of one length in one pass.

    Streams that no learned number has touched go apart from the others, so that nothing is kept for their gradient.
    """
    seen: dict[int, Attended] = {}
    leaving: dict[int, Tensor] = {}
    for alike in _alike(streams):
        sizes = [len(streams[place]) for place in alike]
        whole = attend(layer, torch.cat([streams[place] for place in alike]))
        seen |= zip(alike, whole.images(sizes), strict=True)
        leaving |= zip(alike, torch.split(finish(layer, whole), sizes), strict=True)
    order = range(len(streams))
    return [seen[place] for place in order], [leaving[place] for place in order]


def _alike(streams: Sequence[Tensor]) -> list[list[int]]:
    found: dict[tuple[int, bool], list[int]] = {}
    for place, stream in enumerate(streams):
        found.setdefault((stream.shape[1], stream.requires_grad), []).append(place)
    return list(found.values())
