"""Attention in which a place of one map sees the same place of another map, and what is around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from ...core import ConfigError, ShapeError
from ...models.folding.layers import in_autocast_type

__all__ = ["aligned", "aligned_attention"]

Grid = tuple[int, int]

_FEW = 64
"""Patches of both maps up to which one call with a mask takes less time than tiles."""
_SIDE = 8
"""Of a tile at most: larger ones compute more scores outside of the windows, smaller ones are more calls."""


def aligned_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    query_grid: Grid,
    source_grid: Grid,
    num_prefix: int = 0,
    window: int | None,
) -> Tensor:
    """Lets each patch query attend the patches around its own place on the source map, per head.

    The place of query (y, x) on the source map is (floor((y + 1/2) Hs / Hq), floor((x + 1/2) Ws / Wq)): itself where
    the maps are of one size. The window around it is clipped at the borders, so the softmax is over fewer keys there;
    nothing is padded. Prefix queries (CLS) attend all source rows, prefix included. Patch queries never see the prefix,
    not even without a window; so a window that covers the map and no window are the same.

    Queries of large maps are taken in tiles; scores exist only for the part of the source map that a tile's windows
    touch.

    Args:
        queries: (n, heads, p + Hq Wq, d), prefix rows first.
        keys: (m, heads, p + Hs Ws, d); n and m are equal, or one of them is 1: the same for all images.
        values: (m, heads, p + Hs Ws, any width).
        query_grid: (Hq, Wq).
        source_grid: (Hs, Ws).
        num_prefix: p, rows in front of the patches on both sides.
        window: Odd side of the window, in source patches; None for the whole map.

    Returns:
        (max(n, m), heads, p + Hq Wq, width of the values).

    Raises:
        ConfigError: If the window is even or below 1.
        ShapeError: If the tensors do not fit the grids or each other.

    Reference:
        arXiv 2312.10376, equation 2; without a window, its ablation with global cross attention.
    """
    if window is not None and (window < 1 or window % 2 == 0):
        raise ConfigError(f"window must be an odd number, 1 or more, or None for the whole map, got {window}.")
    _check(queries, keys, values, query_grid, source_grid, num_prefix)
    queries, keys, values = (in_autocast_type(rows) for rows in (queries, keys, values))
    if window is not None and max(math.prod(query_grid), math.prod(source_grid)) <= _FEW:
        return _attend(queries, keys, values, _mask(query_grid, source_grid, window, num_prefix, queries.device))
    if window is not None:
        tiles = _tiles(query_grid, source_grid, window, num_prefix, queries.device)
        return _Tiled.apply(queries, keys, values, tiles)  # type: ignore[no-any-return]
    patches = _attend(*(rows[:, :, num_prefix:] for rows in (queries, keys, values)))
    if not num_prefix:
        return patches
    return torch.cat([_attend(queries[:, :, :num_prefix], keys, values), patches], 2)


def aligned(num_queries: int, num_sources: int) -> list[int]:
    """Returns, along one side, the source in which the middle of each query lies."""
    return [(2 * query + 1) * num_sources // (2 * num_queries) for query in range(num_queries)]


def _check(queries: Tensor, keys: Tensor, values: Tensor, query_grid: Grid, source_grid: Grid, prefix: int) -> None:
    if prefix < 0 or min(*query_grid, *source_grid) < 1:
        raise ShapeError(
            f"expected grids of 1 x 1 or more and a prefix of 0 or more, got {query_grid}, {source_grid} and {prefix}."
        )
    num_queries, num_sources = (prefix + height * width for height, width in (query_grid, source_grid))
    shapes = [tuple(rows.shape) for rows in (queries, keys, values)]
    if any(len(shape) != 4 for shape in shapes):
        raise ShapeError(f"expected queries, keys and values (N, heads, rows, width), got {_listed(shapes)}.")
    (count, heads, _, width), source_count = shapes[0], shapes[1][0]
    expected = [
        (count, heads, num_queries, width),
        (source_count, heads, num_sources, width),
        (source_count, heads, num_sources, shapes[2][3]),
    ]
    if shapes != expected or (count != source_count and 1 not in (count, source_count)):
        raise ShapeError(
            f"expected queries (n, heads, {num_queries}, d) and keys and values (m, heads, {num_sources}, d) for grids "
            f"{query_grid} and {source_grid} behind {prefix} prefix rows, n and m equal or one of them 1, got "
            f"{_listed(shapes)}."
        )


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    count = max(len(queries), len(keys))
    queries, keys, values = (rows.expand(count, -1, -1, -1) for rows in (queries, keys, values))
    return scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


class _Rectangle(NamedTuple):
    """Patches of a map that lies behind a prefix."""

    num_prefix: int
    grid: Grid
    down: slice
    across: slice

    def of(self, rows: Tensor) -> Tensor:
        """Rows (N, heads, p + H W, width) -> a view (N, heads, h, w, width)."""
        patches = rows[:, :, self.num_prefix :].view(*rows.shape[:2], *self.grid, rows.shape[3])
        return patches[:, :, self.down, self.across]


class _First(NamedTuple):
    """The first rows."""

    num_rows: int

    def of(self, rows: Tensor) -> Tensor:
        """Rows (N, heads, T, width) -> a view (N, heads, num_rows, width)."""
        return rows[:, :, : self.num_rows]


class _Tile(NamedTuple):
    """Queries, all sources in the window of any of them, and minus infinity for (queries, sources) outside of it."""

    queries: _Rectangle | _First
    sources: _Rectangle | _First
    bias: Tensor


@lru_cache(maxsize=64)
def _tiles(
    query_grid: Grid, source_grid: Grid, window: int, num_prefix: int, device: torch.device
) -> tuple[_Tile, ...]:
    """Rectangles of patches, and the prefix."""
    tiles = [
        _Tile(
            _Rectangle(num_prefix, query_grid, rows, columns),
            _Rectangle(num_prefix, source_grid, high, wide),
            _bias(_far_patches(far_rows, far_columns)).to(device),
        )
        for rows, high, far_rows in _spans(query_grid[0], source_grid[0], window)
        for columns, wide, far_columns in _spans(query_grid[1], source_grid[1], window)
    ]
    if num_prefix:
        everything = _First(num_prefix + source_grid[0] * source_grid[1])
        tiles.append(_Tile(_First(num_prefix), everything, torch.zeros((), device=device)))
    return tuple(tiles)


def _spans(num_queries: int, num_sources: int, window: int) -> list[tuple[slice, slice, Tensor]]:
    """Along one side: queries, sources, and which source is out of which query's window."""
    far, side, spans = _far(num_queries, num_sources, window), -(-num_queries // -(-num_queries // _SIDE)), []
    for first in range(0, num_queries, side):
        rows = slice(first, first + side)
        near = (~far[rows]).any(0).nonzero().flatten().tolist()
        sources = slice(near[0], near[-1] + 1)
        spans.append((rows, sources, far[rows, sources]))
    return spans


def _far(num_queries: int, num_sources: int, window: int) -> Tensor:
    """Along one side: which source is out of which query's window, (queries, sources) bool."""
    places = torch.tensor(aligned(num_queries, num_sources))
    return (torch.arange(num_sources) - places[:, None]).abs() > window // 2


def _bias(far: Tensor) -> Tensor:
    """What is added to scores: 0, or minus infinity where a source is far; filling a mask takes ten times as long."""
    return torch.zeros(far.shape).masked_fill(far, -math.inf)


def _far_patches(rows: Tensor, columns: Tensor) -> Tensor:
    """Of two sides: which patch is out of which query's window, (Hq Wq, Hs Ws) bool."""
    return (rows[:, None, :, None] | columns[None, :, None, :]).flatten(2).flatten(0, 1)


@lru_cache(maxsize=64)
def _mask(query_grid: Grid, source_grid: Grid, window: int, num_prefix: int, device: torch.device) -> Tensor:
    """Which source each query sees, (p + Hq Wq, p + Hs Ws) bool."""
    far = _far_patches(*(_far(*sides, window) for sides in zip(query_grid, source_grid, strict=True)))
    mask = torch.zeros(num_prefix + len(far), num_prefix + far.shape[1], dtype=torch.bool)
    mask[:num_prefix] = True
    mask[num_prefix:, num_prefix:] = ~far
    return mask.to(device)


class _Tiled(torch.autograd.Function):
    """Attention tile by tile. Saved are the inputs and the softmax of the scores, not the tiles' copies of rows."""

    @staticmethod
    def forward(context: Any, queries: Tensor, keys: Tensor, values: Tensor, tiles: Sequence[_Tile]) -> Tensor:
        count, (_, heads, length, width) = max(len(queries), len(keys)), queries.shape
        # The heads lie inside the tokens, as the output projection reads them.
        results = queries.new_zeros(count, length, heads, values.shape[3]).transpose(1, 2)
        shares = []
        for tile in tiles:
            scores = _rows(queries, tile.queries) @ _rows(keys, tile.sources).transpose(2, 3)
            share = scores.mul_(width**-0.5).add_(tile.bias).softmax(-1)
            shares.append(share.to(values.dtype))  # on CUDA, autocast makes it float32
            _add(results, tile.queries, shares[-1] @ _rows(values, tile.sources))
        context.save_for_backward(queries, keys, values, *shares)
        context.tiles = tiles
        return results

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, *shares = context.saved_tensors
        for_queries, for_keys, for_values = (torch.zeros_like(rows) for rows in (queries, keys, values))
        for tile, share in zip(context.tiles, shares, strict=True):
            gradient = _rows(gradients[0], tile.queries)
            _add(for_values, tile.sources, share.transpose(2, 3) @ gradient)
            slopes = gradient @ _rows(values, tile.sources).transpose(2, 3)
            slopes = torch.ops.aten._softmax_backward_data(slopes, share, -1, share.dtype)
            slopes.mul_(queries.shape[3] ** -0.5)
            _add(for_queries, tile.queries, slopes @ _rows(keys, tile.sources))
            _add(for_keys, tile.sources, slopes.transpose(2, 3) @ _rows(queries, tile.queries))
        return for_queries, for_keys, for_values, None


def _rows(rows: Tensor, place: _Rectangle | _First) -> Tensor:
    return place.of(rows).flatten(2, -2).contiguous()  # a product with the transpose would copy them more slowly


def _add(rows: Tensor, place: _Rectangle | _First, values: Tensor) -> None:
    """Adds (N, heads, R, width) at a place; rows that are the same for all images get the sum."""
    part = place.of(rows)
    part += values.sum_to_size(len(part), *values.shape[1:]).view_as(part)
