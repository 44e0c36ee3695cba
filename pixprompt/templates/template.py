"""A template: a geometry that says where the prompt is, and a blend that says how it meets the canvas."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from ..canvas import Canvas
from ..core import ConfigError, PromptError, ShapeError
from ..prompt import Prompt
from ..seeds import seeded
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
    def from_options(cls, canvas_size: tuple[int, int], size: int | None, place: str | None) -> Geometry:
        """Builds the geometry from what users type: --size and --place; None where nothing was said."""
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
        blend: How it meets the canvas.
    """

    def __init__(self, name: str, geometry: Geometry, blend: Blend) -> None:
        self.name, self.geometry, self.blend = name, geometry, blend

    @property
    def num_params(self) -> int:
        """P, the number of learned parameters."""
        return self.blend.channels * self.geometry.num_pixels

    def init(self, *, generator: Generator | None = None) -> Tensor:
        """Returns the first theta, (P,); the generator draws it, by default one that is seeded with 0."""
        return self.blend.init(self.geometry.num_pixels, generator=seeded(generator)).flatten()

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
        if images.is_contiguous(memory_format=torch.channels_last):
            # In the order of the images: otherwise each pass would go through memory in two orders.
            parts = (plane, mask.expand(3, -1, -1))
            plane, mask = (part.permute(1, 2, 0).contiguous().permute(2, 0, 1) for part in parts)
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

    def to_prompt(self, theta: Tensor, canvas: Canvas, **origin: Any) -> Prompt:
        """Returns the prompt of theta (P,) in 8-bit values, as a PNG holds it.

        Args:
            theta: (P,).
            canvas: How images become canvases of the template's size.
            origin: output, model, weights_sha256, seed, metrics and version of `Prompt`.
        """
        return Prompt(
            rgba=self.export(theta),
            canvas=canvas,
            blend=self.blend.name,
            delta_scale=self.blend.delta_scale,
            template={"name": self.name, "params": self.geometry.params, "num_params": self.num_params},
            **origin,
        )

    def from_prompt(self, prompt: Prompt) -> Tensor:
        """Returns the theta (P,) that shows a saved prompt: where to start from it.

        Raises:
            PromptError: It has another blend, size, geometry or opacity.
        """
        size = prompt.rgba.shape[:2]
        if (prompt.blend, size) != (self.blend.name, self.geometry.size):
            raise PromptError(
                f"expected a prompt of blend {self.blend.name!r} and {self.geometry.size[0]}x{self.geometry.size[1]} "
                f"pixels, got {prompt.blend!r} and {size[0]}x{size[1]}."
            )
        rgba = torch.from_numpy(prompt.rgba.copy()).permute(2, 0, 1)
        theta = self.from_plane(self.blend.parameters(rgba, prompt.delta_scale))
        if not np.array_equal(self.export(theta)[..., 3], prompt.rgba[..., 3]):
            raise PromptError("the prompt has another opacity, or another geometry, than the template.")
        return theta

    def to_plane(self, theta: Tensor) -> Tensor:
        """Theta (P,) -> its values at their places on the canvas, (C, H, W); 0 outside the template."""
        return self._plane(theta, theta, None)[0]

    def from_plane(self, plane: Tensor) -> Tensor:
        """Values on the canvas (C, H, W) -> theta (P,): those inside the template."""
        expected = (self.blend.channels, *self.geometry.size)
        if plane.shape != expected:
            raise ShapeError(f"expected a plane {expected}, got {tuple(plane.shape)}.")
        return plane.flatten(1)[:, self.geometry.pixels(None).to(plane.device)].flatten()

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


def check_size(size: int | None, limit: int, what: str, advice: str) -> int:
    """Returns the size; raises ConfigError unless 1 <= size <= limit."""
    if size is None or not 1 <= size <= limit:
        raise ConfigError(f"{what} must lie in 1..{limit} pixels, got {size}. {advice}".rstrip())
    return size


def make_template(
    name: str,
    *,
    canvas_size: tuple[int, int],
    size: int | None = None,
    blend: Blend | None = None,
    place: str | None = None,
) -> PixelTemplate:
    """Builds a template from what users type.

    Args:
        name: A name of TEMPLATES.
        canvas_size: (height, width) in pixels.
        size: Width of the frame, or side of the patch, in pixels; "full" has none.
        blend: How the prompt meets the canvas; `Add()` by default.
        place: Where a patch lies (see `parse_place`); top-left by default, the centre for random patches.

    Raises:
        ConfigError: The size or the place does not fit the canvas.
    """
    return PixelTemplate(name, TEMPLATES[name].from_options(canvas_size, size, place), blend or Add())
