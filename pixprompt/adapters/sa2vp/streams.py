"""Streams of tokens through one frozen layer, those of one shape in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

__all__ = ["Halfway", "together"]


class Halfway(Protocol):
    """Tokens of one stream or several inside a layer, where the pathways meet."""

    def split(self, sizes: Sequence[int]) -> Sequence[Self]:
        """Returns the streams that were put one behind the other."""
        ...


_Half = TypeVar("_Half", bound=Halfway)


def together(
    attend: Callable[[Tensor], _Half],
    finish: Callable[[_Half], Tensor],
    streams: Sequence[Tensor],
    *,
    num_leaving: int | None = None,
) -> tuple[list[_Half], list[Tensor]]:
    """Runs streams (n, ..., D) of any n and shape through a layer, those of one shape in one pass.

    Streams that no learned number has touched go apart from the others, so that nothing is kept for their gradient;
    so do those that end where the pathways meet.

    Args:
        attend: The layer up to there.
        finish: The layer behind.
        streams: In any order.
        num_leaving: The first so many go on behind the meeting; None for all.

    Returns:
        All streams as they meet, and those that go on as they leave.
    """
    num_leaving = len(streams) if num_leaving is None else num_leaving
    met: dict[int, _Half] = {}
    leaving: dict[int, Tensor] = {}
    for alike in _alike(streams, num_leaving):
        sizes = [len(streams[place]) for place in alike]
        whole = attend(torch.cat([streams[place] for place in alike]))
        met |= zip(alike, whole.split(sizes), strict=True)
        if alike[0] < num_leaving:
            leaving |= zip(alike, torch.split(finish(whole), sizes), strict=True)
    return [met[place] for place in range(len(streams))], [leaving[place] for place in range(num_leaving)]


def _alike(streams: Sequence[Tensor], num_leaving: int) -> list[list[int]]:
    found: dict[tuple[object, ...], list[int]] = {}
    for place, stream in enumerate(streams):
        found.setdefault((stream.shape[1:], stream.requires_grad, place < num_leaving), []).append(place)
    return list(found.values())
