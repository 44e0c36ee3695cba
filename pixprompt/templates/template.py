"""A template: a geometry that says where the prompt is, and a blend that says how it meets the canvas."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from ..core import ConfigError, ShapeError
from .blends import Add, Blend
from .catalogue import TEMPLATES

__all__ = ["Geometry", "PixelTemplate", "check_size", "make_template", "no_place"]


class Geometry(Protocol):
    """Where on an (H, W) canvas the pixels of a prompt are."""

    size: tuple[int, int]
    """(height, width) of the canvas."""
    frame: int
    """Width of the frame that `fit="shrink"` keeps free for the prompt; 0 where there is none."""

    @classmethod
    def from_options(cls, canvas_size: tuple[int, int], size: int, place: str | None) -> Geometry:
        """Builds the geometry from what users type: --size and --place."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """What the PNG says about the geometry."""
        ...

    @property
    def num_pixels(self) -> int:
        """Number of prompt pixels."""
        ...

    def pixels(self, generator: Generator | None) -> Tensor:
        """Flat positions (num_pixels,) int64; a geometry that moves draws a place from the generator.

        Without a generator the place is the one that the PNG will show.
        """
        ...


class PixelTemplate:
    """The prompt as a function of its parameters theta, (P,).

    Args:
        name: What users type.
        geometry: Where the prompt is.
        blend: How it meets the canvas.
    """

    def __init__(self, name: str, geometry: Geometry, blend: Blend) -> None:
        self.name, self.geometry, self.blend = name, geometry, blend

    @property
    def num_params(self) -> int:
        """P, the number of learned numbers."""
        return self.blend.channels * self.geometry.num_pixels

    def init(self, *, generator: Generator) -> Tensor:
        """Returns the first theta, (P,)."""
        return self.blend.init(self.geometry.num_pixels, generator=generator).flatten()

    def project(self, theta: Tensor) -> Tensor:
        """Returns the nearest theta that a PNG can hold."""
        return self.blend.project(theta.view(self.blend.channels, -1)).flatten()

    def __call__(
        self, images: Tensor, theta: Tensor, /, *, generator: Generator | None = None, quantize: bool = True
    ) -> Tensor:
        """Prompts images.

        Args:
            images: (N, 3, H, W), values in [0, 1]; not written to.
            theta: (P,).
            generator: Draws the place, once per call, of a template that moves; None uses the place of the PNG.
            quantize: Round to the 8-bit values of the PNG, straight-through for the gradient.

        Returns:
            (N, 3, H, W), values in [0, 1], equal to `images` outside the template.
        """
        plane, mask = self._plane(images, theta, generator)
        return torch.where(mask, self.blend.composite(images, plane, quantize=quantize), images)

    def unclamped(self, images: Tensor, theta: Tensor, /, *, generator: Generator | None = None) -> Tensor:
        """Adds the delta and lets the sum leave [0, 1]: no image file can hold this (the VP paper's own prompt)."""
        if not isinstance(self.blend, Add):
            raise ConfigError(f"an unclamped prompt needs blend 'add', got {self.blend.name!r}.")
        plane, _ = self._plane(images, theta, generator)
        return images + self.blend.delta(plane)

    def export(self, theta: Tensor) -> npt.NDArray[np.uint8]:
        """Returns the pixels of the prompt PNG, (H, W, 4) uint8."""
        plane, mask = self._plane(theta.detach(), theta.detach(), None)
        rgba = self.blend.pixels(plane)
        rgba[:3, ~mask[0]] = 128 if self.blend.name == "add" else 0
        rgba[3, ~mask[0]] = 0
        return np.ascontiguousarray(rgba.permute(1, 2, 0).cpu().numpy())

    def _plane(self, like: Tensor, theta: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        height, width = self.geometry.size
        if like.dim() == 4 and like.shape[1:] != (3, height, width):
            raise ShapeError(f"expected images (N, 3, {height}, {width}), got {tuple(like.shape)}.")
        if theta.shape != (self.num_params,):
            raise ShapeError(f"expected theta ({self.num_params},), got {tuple(theta.shape)}.")
        places = self.geometry.pixels(generator).to(theta.device)
        values = theta.view(self.blend.channels, -1)
        plane = values.new_zeros(self.blend.channels, height * width).index_copy(1, places, values)
        mask = places.new_zeros(height * width).index_fill(0, places, 1).bool()
        return plane.view(-1, height, width), mask.view(1, height, width)


def no_place(place: str | None, name: str) -> None:
    """Raises ConfigError when a place was given to a template that has none."""
    if place is not None:
        raise ConfigError(f"template {name!r} has no place to choose; leave out --place.")


def check_size(size: int, limit: int, what: str, advice: str) -> None:
    """Raises ConfigError unless 1 <= size <= limit."""
    if not 1 <= size <= limit:
        raise ConfigError(f"{what} must lie in 1..{limit} pixels, got {size}. {advice}".rstrip())


def make_template(
    name: str, *, canvas_size: tuple[int, int], size: int, blend: Blend, place: str | None = None
) -> PixelTemplate:
    """Builds a template from what users type.

    Args:
        name: A name of TEMPLATES.
        canvas_size: (height, width) in pixels.
        size: Width of the frame, or side of the patch, in pixels; "full" has none.
        blend: How the prompt meets the canvas.
        place: Where a patch lies (see `parse_place`); top-left by default, the centre for random patches.

    Raises:
        ConfigError: The size or the place does not fit the canvas.
    """
    return PixelTemplate(name, TEMPLATES[name].from_options(canvas_size, size, place), blend)
