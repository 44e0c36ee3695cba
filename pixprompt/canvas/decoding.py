"""From what people have, image files and arrays, to upright RGB images.

EXIF orientation is applied, transparency is composited over white, 16-bit grey is scaled to 8 bits, CMYK and palettes
become RGB, the first frame of an animation is taken.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core import ImageError, PixpromptError, RangeError, ShapeError
from ..files import open_regular

__all__ = ["FORMATS", "MAX_PIXELS", "decode", "from_array", "open_image", "to_rgb"]

MAX_PIXELS = 178_956_970
"""A larger image is taken for a decompression bomb (the limit at which Pillow refuses)."""
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""What is decoded, the likeliest first; Pillow knows more formats, some of which start other programs."""


def decode(source: str | Path | bytes, *, admit: Callable[[int], object] | None = None) -> Image.Image:
    """Reads an image file, or the bytes of one, as an upright RGB image.

    Args:
        source: A regular file, or bytes.
        admit: Called with the number of pixels, as the header says, before they are decoded; may wait.

    Raises:
        ImageError: It is of no format in FORMATS, or cannot be read; the message names the file and the reason.
    """
    with open_image(source) as image:
        if admit is not None:
            admit(image.width * image.height)
        return to_rgb(image)


@contextmanager
def open_image(
    source: str | Path | bytes, *, formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """Opens an image file, or the bytes of one; its pixels are decoded where they are first used, within.

    Args:
        source: A regular file, or bytes.
        formats: Names of FORMATS that may be opened.
        max_pixels: A larger image is refused.

    Raises:
        ImageError: It is too large, of another format, or cannot be read; the message names the file and the reason.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file:
            try:
                opened = Image.open(file, formats=formats)
            except KeyError as error:  # no other format fits, and Pillow was built without this one
                raise UnidentifiedImageError from error
            with opened as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(f"{image.width}x{image.height} pixels, more than {max_pixels}.")
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageError(f"{name}: too large to decode safely ({error}). Scale it down first.") from error
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except PixpromptError:
        raise
    except Exception as error:  # decoders fail in whatever way they like; it is the failure of this file alone
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "of no known format"  # Pillow would say the name a second time
        raise ImageError(f"{name}: not a readable image ({reason.rstrip('.')}).") from error


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
        gray = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((gray * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise ImageError("a floating-point image has no known range; save it with 8 or 16 bits.")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it once more
