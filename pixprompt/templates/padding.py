"""Padding: a frame of pixels along the border of the canvas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from .template import check_size, no_place

__all__ = ["Padding"]


class Padding:
    """A frame of `p` pixels along the border: 2 p (H + W - 2 p) pixels, 69,840 parameters at p=30 on 224x224.

    Args:
        size: (height, width) of the canvas.
        width: p; at least one pixel inside must stay free.

    Reference: arXiv 2203.17274, section 3.2.
    """

    def __init__(self, size: tuple[int, int], width: int) -> None:
        self.size, self.width, self.frame = size, _checked(size, width), width
        inside = torch.zeros(size, dtype=torch.bool)
        inside[width:-width, width:-width] = True
        self._pixels = (~inside).flatten().nonzero().flatten()

    @classmethod
    def from_options(cls, canvas_size: tuple[int, int], size: int | None, place: str | None) -> Padding:
        """A frame of `size` pixels."""
        no_place(place, "padding")
        return cls(canvas_size, _checked(canvas_size, size))

    @property
    def params(self) -> dict[str, Any]:
        """{"size": p}."""
        return {"size": self.width}

    @property
    def num_pixels(self) -> int:
        """2 p (H + W - 2 p)."""
        return len(self._pixels)

    def pixels(self, generator: Generator | None) -> Tensor:
        """The same frame every time."""
        return self._pixels


def _checked(canvas_size: tuple[int, int], width: int | None) -> int:
    what = f"padding of a {canvas_size[0]}x{canvas_size[1]} canvas"
    return check_size(width, (min(canvas_size) - 1) // 2, what, "To cover all, use --template full.")
