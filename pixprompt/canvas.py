"""From an image file to the 8-bit canvas that a model sees: the one place that makes canvases. No torch import.

Decoding reads what people have: EXIF orientation is applied, transparency is composited over white, 16-bit grey
is scaled to 8 bits, CMYK and palettes become RGB, the first frame of an animation is taken.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from .core import ConfigError, ImageError, PromptError, RangeError, ShapeError
from .files import open_regular
from .registry import suggest

__all__ = [
    "ASPECTS",
    "FILTERS",
    "FITS",
    "FORMATS",
    "MAX_CANVAS_PIXELS",
    "MAX_PIXELS",
    "Canvas",
    "Pixels",
    "decode",
    "from_array",
    "num_pixels",
    "open_image",
    "to_rgb",
]

Pixels = npt.NDArray[np.uint8]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FITS = ("resize", "shrink")
ASPECTS = ("crop", "squash", "letterbox")
MAX_PIXELS = 178_956_970
"""A larger image is taken for a decompression bomb (the limit at which Pillow refuses)."""
MAX_CANVAS_PIXELS = 2**24
"""Of a canvas before its centre is cut out: what a prompt file may ask of the machine that applies it."""
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded; Pillow knows more formats, some of which start other programs."""

_EXTREME_ASPECT = 16


@dataclass(frozen=True)
class Canvas:
    """How an image becomes the canvas that a prompt is laid on.

    Attributes:
        size: (height, width) in pixels.
        fit: "resize" fills the canvas; "shrink" puts the image inside a free frame.
        frame: Width in pixels of the frame that "shrink" leaves free; 0 with "resize".
        resample: A name of FILTERS.
        crop_pct: Share of the resized image that the centre crop keeps, in (0, 1].
        aspect: "crop" (shorter side fits, centre is kept), "squash" (stretched) or "letterbox" (all is kept).
        fill: RGB of the free frame and of letterbox bars, each 0..255.
    """

    size: tuple[int, int]
    fit: str = "resize"
    frame: int = 0
    resample: str = "bicubic"
    crop_pct: float = 1.0
    aspect: str = "crop"
    fill: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.fit, FITS, "fit"),
            (self.resample, tuple(FILTERS), "resize filter"),
            (self.aspect, ASPECTS, "aspect"),
        ):
            if value not in known:
                raise ConfigError(f"unknown {what} {value!r}.{suggest(value, known)} Known: {', '.join(known)}.")
        if min(self.size) < 1:
            raise ConfigError(f"a canvas needs at least 1x1 pixels, got {self.size[0]}x{self.size[1]}.")
        if not 0 < self.crop_pct <= 1:
            raise ConfigError(f"crop_pct must lie in (0, 1], got {self.crop_pct}.")
        if self.size[0] * self.size[1] > MAX_CANVAS_PIXELS * self.crop_pct**2:
            raise ConfigError(
                f"a canvas of {self.size[0]}x{self.size[1]} pixels with crop_pct {self.crop_pct:g} asks for more than "
                f"{MAX_CANVAS_PIXELS} pixels; the sides divided by crop_pct must stay below."
            )
        if (self.fit == "resize") != (self.frame == 0):
            raise ConfigError(f"fit={self.fit!r} does not go with a frame of {self.frame} pixels.")
        if 2 * self.frame >= min(self.size):
            raise ConfigError(
                f"a frame of {self.frame} pixels leaves no inside on a {self.size[0]}x{self.size[1]} canvas; "
                f"the largest is {(min(self.size) - 1) // 2}."
            )

    def make(self, image: Image.Image) -> Pixels:
        """Returns the canvas of an RGB image, (H, W, 3) uint8."""
        height, width = self.size[0] - 2 * self.frame, self.size[1] - 2 * self.frame
        inside = self._fitted(image, height, width)
        if self.frame == 0:
            return np.array(inside)
        canvas = Image.new("RGB", (self.size[1], self.size[0]), self.fill)
        canvas.paste(inside, (self.frame, self.frame))
        return np.array(canvas)

    def _fitted(self, image: Image.Image, height: int, width: int) -> Image.Image:
        resample = FILTERS[self.resample]
        if self.aspect == "squash":
            tall, wide = int(height / self.crop_pct), int(width / self.crop_pct)
            return _centre(image.resize((wide, tall), resample), height, width)
        if self.aspect == "letterbox":
            scale = min(height / image.height, width / image.width)
            tall, wide = max(1, round(image.height * scale)), max(1, round(image.width * scale))
            boxed = Image.new("RGB", (width, height), self.fill)
            boxed.paste(image.resize((wide, tall), resample), ((width - wide) // 2, (height - tall) // 2))
            return boxed
        image = _tamed(image, height / width)
        # The rounding of torchvision's and timm's Resize and CenterCrop, so that canvases equal theirs to the byte.
        target_height, target_width = int(height / self.crop_pct), int(width / self.crop_pct)
        if image.width * target_height <= image.height * target_width:
            wide, tall = target_width, int(target_width * image.height / image.width)
        else:
            wide, tall = int(target_height * image.width / image.height), target_height
        if (wide, tall) != image.size:
            image = image.resize((wide, tall), resample)
        return _centre(image, height, width)

    def to_json(self) -> dict[str, Any]:
        """Returns the `canvas` object of a prompt file."""
        values = asdict(self)
        values["filter"] = values.pop("resample")
        return {**values, "orientation": "exif"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Canvas:
        """Reads what `to_json` wrote.

        Raises:
            PromptError: A field is missing, unknown or out of range.
        """
        try:
            known = dict(values)
            if known.pop("orientation") != "exif":
                raise PromptError(f"orientation must be 'exif', got {values['orientation']!r}.")
            known["resample"] = known.pop("filter")
            known["size"], known["fill"] = tuple(known["size"]), tuple(known["fill"])
            if [type(value) for value in (*known["size"], *known["fill"], known["frame"])] != 6 * [int]:
                raise PromptError("size, fill and frame must be 2, 3 and 1 whole numbers.")
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise PromptError(f"the prompt file describes no usable canvas: {error}") from error


def decode(source: str | Path | bytes) -> Image.Image:
    """Reads an image file, or the bytes of one, as an upright RGB image.

    Raises:
        ImageError: It is of no format in FORMATS, or cannot be read; the message names the file and the reason.
    """
    with _named_failure(source), open_image(source) as image:
        return to_rgb(image)


def num_pixels(source: str | Path | bytes) -> int:
    """Returns the number of pixels that decoding an image would give, from its header alone.

    Raises:
        ImageError: As `decode`.
    """
    with _named_failure(source), open_image(source) as image:
        return image.width * image.height


@contextmanager
def _named_failure(source: str | Path | bytes) -> Iterator[None]:
    """Makes every failure within an ImageError that names the file."""
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageError(f"{name}: too large to decode safely ({error}). Scale it down first.") from error
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # decoders fail in whatever way they like; it is the failure of this file alone
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "of no known format"  # Pillow would say the name a second time
        raise ImageError(f"{name}: not a readable image ({reason.rstrip('.')}).") from error


@contextmanager
def open_image(
    source: str | Path | bytes, *, formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """Opens an image file, or the bytes of one, without decoding its pixels yet.

    Args:
        source: A regular file, or bytes.
        formats: Names of FORMATS that may be opened.
        max_pixels: A larger image is refused.

    Raises:
        ImageError: The image is too large.
        OSError: It cannot be opened, or is of another format.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file:
        Image.init()
        known = [name for name in formats if name in Image.OPEN]
        with Image.open(file, formats=known) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"{image.width}x{image.height} pixels, more than {max_pixels}.")
            yield image


def from_array(array: npt.NDArray[Any]) -> Image.Image:
    """Turns a uint8 array (H, W), (H, W, 3) or (H, W, 4) into an RGB image.

    Raises:
        RangeError: It is not uint8.
        ShapeError: It has another shape.
    """
    if array.dtype != np.uint8:
        raise RangeError(f"expected a uint8 array with values 0..255, got {array.dtype}; scale and round it first.")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ShapeError(f"expected an array (H, W), (H, W, 3) or (H, W, 4), got {array.shape}.")
    return to_rgb(Image.fromarray(array))


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image of any mode as upright RGB; transparency becomes white.

    Raises:
        ImageError: Its values have no known range.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit grey at 255 instead of scaling it.
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise ImageError("a floating-point image has no known range; save it with 8 or 16 bits.")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def _tamed(image: Image.Image, aspect: float) -> Image.Image:
    """Cuts a panorama before the resize, which would otherwise build a giant image to throw most of it away."""
    limit_tall = round(image.width * aspect * _EXTREME_ASPECT)
    limit_wide = round(image.height / aspect * _EXTREME_ASPECT)
    height, width = min(image.height, max(1, limit_tall)), min(image.width, max(1, limit_wide))
    return image if (width, height) == image.size else _centre(image, height, width)
