"""Patches: a square of pixels, at one place or at a new place for every batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from ..core import ConfigError
from .template import check_size

__all__ = ["Patch", "RandomPatch", "parse_place"]

_PLACES = ("top-left", "top-right", "bottom-left", "bottom-right", "center")


class Patch:
    """A square of `p`x`p` pixels at a chosen place.

    Args:
        size: (height, width) of the canvas.
        width: p.
        place: (top, left) of the patch; every patch pixel must lie on the canvas.

    Reference: arXiv 2203.17274, section 3.2.
    """

    frame = 0
    default_place = "top-left"

    def __init__(self, size: tuple[int, int], width: int, place: tuple[int, int] = (0, 0)) -> None:
        check_size(width, min(size), f"a patch on a {size[0]}x{size[1]} canvas", "")
        top, left = place
        if not (0 <= top <= size[0] - width and 0 <= left <= size[1] - width):
            raise ConfigError(
                f"a {width}x{width} patch at {top},{left} leaves the {size[0]}x{size[1]} canvas; "
                f"the last place is {size[0] - width},{size[1] - width}."
            )
        self.size, self.width, self.place = size, width, place

    @classmethod
    def from_options(cls, canvas_size: tuple[int, int], size: int | None, place: str | None) -> Patch:
        """A square of `size` pixels at `place` (see `parse_place`)."""
        width = check_size(size, min(canvas_size), f"a patch on a {canvas_size[0]}x{canvas_size[1]} canvas", "")
        return cls(canvas_size, width, parse_place(place or cls.default_place, canvas_size, width))

    @property
    def params(self) -> dict[str, Any]:
        """{"size": p, "place": [top, left]}."""
        return {"size": self.width, "place": list(self.place)}

    @property
    def num_pixels(self) -> int:
        """p * p."""
        return self.width**2

    def pixels(self, generator: Generator | None) -> Tensor:
        """The same square every time."""
        return self._square(*self.place)

    def _square(self, top: int, left: int) -> Tensor:
        rows = torch.arange(top, top + self.width).view(-1, 1) * self.size[1]
        return (rows + torch.arange(left, left + self.width)).flatten()


class RandomPatch(Patch):
    """A square of `p`x`p` pixels, at a new place for every training batch; the PNG shows it at `place`.

    Every place on the canvas is equally likely, the last row and column and p = image size included.
    """

    default_place = "center"

    def pixels(self, generator: Generator | None) -> Tensor:
        """A square at a place drawn from the generator."""
        if generator is None:
            return self._square(*self.place)
        top = torch.randint(self.size[0] - self.width + 1, (), generator=generator)
        left = torch.randint(self.size[1] - self.width + 1, (), generator=generator)
        return self._square(int(top), int(left))


def parse_place(text: str, size: tuple[int, int], width: int) -> tuple[int, int]:
    """Reads a place: "top,left" in pixels, or one of top-left, top-right, bottom-left, bottom-right, center.

    Raises:
        ConfigError: It is neither.
    """
    bottom, right = size[0] - width, size[1] - width
    names = dict(
        zip(_PLACES, [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)], strict=True)
    )
    if text in names:
        return names[text]
    try:
        top, left = (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"place must be 'top,left' in pixels or one of {', '.join(_PLACES)}; got {text!r}.") from None
    return top, left
