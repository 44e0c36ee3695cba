"""Frozen layers on tokens and prompts; results that nothing reads are not computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ...backbones import Layer

__all__ = ["insert", "run_layers", "step"]


def insert(tokens: Tensor, prompts: Tensor) -> Tensor:
    """Tokens (N, T, D), prompts (1 or N, p, D) -> [CLS, prompts, the rest], (N, T + p, D)."""
    return torch.cat([tokens[:, :1], prompts.expand(len(tokens), -1, -1), tokens[:, 1:]], 1)


def step(
    layer: Layer,
    tokens: Tensor,
    prompts: Tensor | None = None,
    *,
    rows: int | None = None,
    pairs: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Runs a layer on tokens and prompts; returns the results of the first tokens, none of the prompts.

    Prompts are seen as keys and values. Their own results, which the next layer's prompts would replace, are not
    computed: no query, no projection, no MLP. That changes no other result.

    Args:
        layer: Frozen.
        tokens: (N, T, D).
        prompts: (1 or N, p, D), whose keys and values are computed once if they are the same for all images.
        rows: How many tokens' results are returned; None for all.
        pairs: Further keys and values of each head, (heads, P, D / heads), the same for all images.

    Returns:
        (N, rows, D).
    """
    if prompts is None and rows is None and pairs is None:
        return layer(tokens)
    queries, keys, values = layer.split(layer.qkv(layer.norm1(tokens)))
    if prompts is not None:
        _, prompt_keys, prompt_values = layer.split(layer.qkv(layer.norm1(prompts)))
        keys = torch.cat([keys, prompt_keys.expand(len(keys), -1, -1, -1)], 2)
        values = torch.cat([values, prompt_values.expand(len(values), -1, -1, -1)], 2)
    if pairs is not None:
        count = len(keys)
        keys, values = (
            torch.cat([own, more.expand(count, -1, -1, -1)], 2) for own, more in zip((keys, values), pairs, strict=True)
        )
    tokens, queries = tokens[:, :rows], queries[:, :, :rows]
    tokens = tokens + layer.scale1(layer.join(scaled_dot_product_attention(queries, keys, values)))
    result: Tensor = tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))
    return result


def run_layers(layers: Sequence[Layer], tokens: Tensor, *, rows: int | None = None) -> Tensor:
    """Runs layers one after the other; of the last one only the first `rows` results, None for all."""
    for number, layer in enumerate(layers, 1):
        tokens = step(layer, tokens, rows=rows if number == len(layers) else None)
    return tokens
