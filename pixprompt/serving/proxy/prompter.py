"""A prompt on the images of others: files become files, pixels become pixels, numbers become numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...canvas import Pixels, decode
from ...canvas.encoding import encoder_of
from ...core import ImageError
from ...prompt import Page
from ...remote.protocols.pixels import PixelValues
from ..prompt_service import check_size

__all__ = ["Prompter", "UnknownForm"]

_NEAR = 1e-3
"""How far, in units of a pixel's 256 steps, a number may lie outside the range that it is said to have."""


class UnknownForm(Exception):
    """A request, or a reply, is of another form than those that are known; the message says how."""


class Prompter:
    """Puts one prompt on images.

    Args:
        page: The prompt.
        encoding: What image files are sent as: "png" or "jpeg".
        value_range: Range of images that are sent as decimal numbers; see `PixelValues`.

    Raises:
        ConfigError: There is no such encoding, or no such range.
    """

    def __init__(self, page: Page, *, encoding: str = "png", value_range: object = "unit") -> None:
        self._page = page
        # Pixels of the canvas's own size were cropped by whoever sends them.
        self._cropped = replace(page.canvas, crop_pct=1.0)
        self._encode, self.media_type = encoder_of(encoding)
        self.values = PixelValues(value_range)
        table = self.values.table.astype(np.float64)
        self._low, self._step = table[0], (table[255] - table[0]) / 255

    def file(self, content: bytes) -> bytes:
        """Returns an image file with the prompt on it; as PNG, to the byte what `apply` writes.

        Raises:
            UnknownForm: It is no image that can be read.
        """
        try:
            image = decode(content, admit=check_size)
        except ImageError as error:
            raise UnknownForm(str(error)) from error
        return self._encode(self._page.overlay(self._page.canvas.make(image)))

    def pixels(self, images: Pixels) -> Pixels:
        """Returns images (N, h, w, 3) as prompted canvases (N, H, W, 3)."""
        size = self._page.canvas.size
        canvas = self._cropped if images.shape[1:3] == size else self._page.canvas
        canvases = [canvas.make(Image.fromarray(np.ascontiguousarray(image))) for image in images]
        return self._page.overlay(np.stack(canvases))

    def to_pixels(self, numbers: npt.NDArray[Any]) -> Pixels:
        """Returns numbers (N, h, w, 3) as pixels: whole ones as they are, decimal ones by the range.

        Raises:
            UnknownForm: They lie outside.
        """
        if numbers.dtype.kind in "iu":
            if numbers.size and (numbers.min() < 0 or numbers.max() > 255):
                raise UnknownForm("whole numbers of an image lie in 0 to 255; some lie outside")
            return numbers.astype(np.uint8)
        steps = (numbers - self._low) / self._step
        if not ((steps > -_NEAR) & (steps < 255 + _NEAR)).all():
            raise UnknownForm("numbers of an image lie outside their range; say which it is with --range")
        return np.asarray(np.rint(steps), np.uint8)

    def to_numbers(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Returns pixels (N, H, W, 3) as the numbers of the range."""
        numbers: npt.NDArray[np.float32] = self.values.table[pixels, np.arange(3)]
        return numbers
