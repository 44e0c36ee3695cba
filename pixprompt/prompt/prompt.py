"""One prompt: pixels, the canvas under them, and what reads the answers. No torch import."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..canvas import Canvas, Pixels, from_array, to_rgb
from ..core import PromptError, RangeError, ShapeError
from .prompt_file import with_digests, write_prompt_file

__all__ = ["BLENDS", "Prompt", "pixel_delta"]

BLENDS = ("add", "over")


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt as it is saved, loaded and applied.

    Attributes:
        rgba: (H, W, 4) uint8, the pixels of the file.
        canvas: How an image becomes the canvas under the prompt.
        blend: "add" or "over".
        delta_scale: Pixel value in [0, 1] units that the largest code of "add" stands for; None with "over".
        template: {"name", "params", "num_params"}, the geometry and the number of learned numbers.
        model: Name of the model that the prompt was learned for.
        weights_sha256: Digest of the weights file given with that name; empty where there was none.
        output: How answers become labels: {"kind", "classes", ...}.
        version: Of the pixprompt that saved it.
    """

    rgba: Pixels
    canvas: Canvas
    blend: str
    delta_scale: float | None
    template: dict[str, Any]
    model: str = ""
    weights_sha256: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def __post_init__(self) -> None:
        if self.rgba.dtype != np.uint8 or self.rgba.shape != (*self.canvas.size, 4):
            raise PromptError(
                f"expected uint8 pixels of shape {(*self.canvas.size, 4)}, got {self.rgba.dtype} {self.rgba.shape}."
            )
        if type(self.template.get("num_params", 0)) is not int:
            raise PromptError(f"num_params must be a whole number, got {self.template['num_params']!r}.")
        if self.blend not in BLENDS:
            raise PromptError(f"blend must be one of {', '.join(BLENDS)}, got {self.blend!r}.")
        scale = self.delta_scale
        if (self.blend == "add") != (scale is not None) or (scale is not None and not 0 < scale <= 1):
            raise PromptError(f"blend {self.blend!r} does not go with delta_scale={scale}.")

    @property
    def pages(self) -> tuple[Prompt, ...]:
        """Itself alone: a committee has several."""
        return (self,)

    @property
    def num_params(self) -> int:
        """Learned parameters, as the file says."""
        num_params: int = self.template.get("num_params", 0)
        return num_params

    @property
    def is_empty(self) -> bool:
        """Whether it was saved as no prompt at all, which leaves every canvas as it is."""
        return self.template.get("name") == "none"

    def __repr__(self) -> str:
        (height, width), name = self.canvas.size, self.template.get("name", "?")
        place = f"{self.blend} on {height}x{width}"
        return f"<Prompt {name}, {self.num_params} parameters, {place}, for {self.model or 'any model'}>"

    def _repr_png_(self) -> bytes:
        """Returns the picture that a notebook shows: the pixels alone."""
        buffer = io.BytesIO()
        Image.fromarray(self.rgba).save(buffer, "PNG")
        return buffer.getvalue()

    @overload
    def apply(self, image: Image.Image) -> Image.Image: ...
    @overload
    def apply(self, image: npt.NDArray[Any]) -> Pixels: ...
    def apply(self, image: Image.Image | npt.NDArray[Any]) -> Image.Image | Pixels:
        """Puts the prompt on one image of any size.

        Args:
            image: A PIL image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4).

        Returns:
            The prompted canvas, a PIL image for a PIL image and a uint8 array (H, W, 3) for an array.
        """
        if isinstance(image, np.ndarray):
            return self.overlay(self.canvas.make(from_array(image)))
        return Image.fromarray(self.overlay(self.canvas.make(to_rgb(image))))

    def overlay(self, canvases: Pixels) -> Pixels:
        """Puts the prompt on canvases that `self.canvas` made; integer arithmetic, no rounding ties.

        Args:
            canvases: (..., H, W, 3) uint8; not written to.
        """
        if canvases.dtype != np.uint8:
            raise RangeError(f"expected uint8 canvases, got {canvases.dtype}.")
        if canvases.shape[-3:] != (*self.canvas.size, 3):
            raise ShapeError(f"expected canvases (..., {self.canvas.size[0]}, {self.canvas.size[1]}, 3), "
                             f"got {canvases.shape}.")  # fmt: skip
        if self.blend == "over":
            overlay, share = self._weighted
            mixed = canvases * share
            # At most 255 * 255 + 128: x / 255 rounded to nearest, as Pillow does it, within 16 bits.
            mixed += overlay
            mixed += mixed >> 8
            mixed >>= 8
            return mixed.astype(np.uint8)
        return (canvases + self.delta).clip(0, 255).astype(np.uint8)

    @cached_property
    def _weighted(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        alpha = np.repeat(self.rgba[..., 3:], 3, axis=-1).astype(np.uint16)
        return self.rgba[..., :3] * alpha + np.uint16(128), 255 - alpha

    @cached_property
    def delta(self) -> npt.NDArray[np.int16]:
        """What blend "add" adds to 8-bit pixels, (H, W, 3) whole steps -255..255, 0 where the mask is empty."""
        codes = self.rgba[..., :3].astype(np.int32) - 128
        delta = pixel_delta(codes, self.delta_scale or 1.0)
        return np.where(self.rgba[..., 3:] > 0, delta, 0).astype(np.int16)

    def metadata(self) -> dict[str, Any]:
        """Returns the JSON object of the file, digests included.

        Raises:
            PromptError: A field holds what JSON cannot: NaN, or an object of Python.
        """
        names = "template", "blend", "delta_scale", "model", "weights_sha256", "output", "seed", "metrics", "version"
        values = {name: getattr(self, name) for name in names}
        return with_digests(1 if self.canvas.is_basic else 2, {**values, "canvas": self.canvas.to_json()}, self.rgba)

    def save(self, path: str | Path) -> None:
        """Writes the PNG; the same prompt always gives the same bytes.

        Raises:
            PromptError: The metadata is too large for readers of PNG files.
        """
        write_prompt_file(path, self.rgba, self.metadata())


def pixel_delta(codes: npt.NDArray[Any], delta_scale: float) -> npt.NDArray[np.int32]:
    """Turns codes -127..127 of blend "add" into whole pixel steps -255..255, the same on every machine."""
    return np.rint(codes.astype(np.float64) * (delta_scale * 255.0) / 127.0).astype(np.int32)
