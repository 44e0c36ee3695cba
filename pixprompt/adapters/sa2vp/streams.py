"""Streams of tokens through one frozen layer, those of one shape in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

__all__ = ["Splittable", "run_streams"]


class Splittable(Protocol):
    """Tokens of one stream or several inside a layer, where the pathways meet."""

    def split(self, sizes: Sequence[int]) -> Sequence[Self]:
        """Returns the streams that were concatenated."""
        ...


_S = TypeVar("_S", bound=Splittable)


def run_streams(
    start: Callable[[Tensor], _S],
    finish: Callable[[_S], Tensor],
    streams: Sequence[Tensor],
    *,
    num_leaving: int | None = None,
) -> tuple[list[_S], list[Tensor]]:
    """Runs streams (n, ..., D) of any n and shape through a layer, those of one shape in one pass.

    Streams that depend on no learned parameter have a pass of their own, so that nothing is stored for their gradient;
    so do those that end where the pathways meet.

    Args:
        start: The layer up to there.
        finish: The rest of the layer.
        streams: In any order.
        num_leaving: The first so many run through the rest; None for all.

    Returns:
        All streams where the pathways meet, and those that run through the rest as they leave the layer.
    """
    num_leaving = len(streams) if num_leaving is None else num_leaving
    inside: dict[int, _S] = {}
    leaving: dict[int, Tensor] = {}
    for group in _groups(streams, num_leaving):
        sizes = [len(streams[place]) for place in group]
        whole = start(torch.cat([streams[place] for place in group]))
        inside |= zip(group, whole.split(sizes), strict=True)
        if group[0] < num_leaving:
            leaving |= zip(group, torch.split(finish(whole), sizes), strict=True)
    return [inside[place] for place in range(len(streams))], [leaving[place] for place in range(num_leaving)]


def _groups(streams: Sequence[Tensor], num_leaving: int) -> list[list[int]]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, stream in enumerate(streams):
        groups.setdefault((stream.shape[1:], stream.requires_grad, place < num_leaving), []).append(place)
    return list(groups.values())
