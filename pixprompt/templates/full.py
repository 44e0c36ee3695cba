"""Full: every pixel of the canvas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from .template import no_place

__all__ = ["Full"]


class Full:
    """Every pixel of the canvas, 3 H W parameters.

    Args:
        size: (height, width) of the canvas.
    """

    frame = 0

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    @classmethod
    def from_options(cls, canvas_size: tuple[int, int], size: int | None, place: str | None) -> Full:
        """All of the canvas; the size is not read."""
        no_place(place, "full")
        return cls(canvas_size)

    @property
    def params(self) -> dict[str, Any]:
        """{}: there is nothing to choose."""
        return {}

    @property
    def num_pixels(self) -> int:
        """H * W."""
        return self.size[0] * self.size[1]

    def pixels(self, generator: Generator | None) -> Tensor:
        """All positions."""
        return torch.arange(self.num_pixels)
