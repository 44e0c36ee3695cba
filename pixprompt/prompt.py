"""The PNG artefact: a prompt that any image tool can open and put on an image. No torch import.

The file is an 8-bit RGBA PNG of the canvas size. With blend "over" it is the overlay itself. With blend "add", RGB
holds the signed delta as `round(delta / delta_scale * 127) + 128` and alpha the mask. One iTXt chunk named
`pixprompt` holds JSON (schema 1) that says how the canvas is made and how answers become labels.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo

from .canvas import MAX_CANVAS_PIXELS, Canvas, from_array, open_image, to_rgb
from .core import ImageError, PromptError, RangeError, ShapeError
from .files import write_bytes

__all__ = ["BLENDS", "SCHEMA", "Prompt", "load", "pixel_delta"]

Pixels = npt.NDArray[np.uint8]
SCHEMA = 1
BLENDS = ("add", "over")
_CHUNK = "pixprompt"
_MAX_TEXT = 60 * 2**20  # Pillow reads 64 MiB of text at most
_FIELDS: dict[str, tuple[type, ...]] = {
    "template": (dict,),
    "blend": (str,),
    "delta_scale": (float, int, type(None)),
    "canvas": (dict,),
    "model": (str,),
    "weights_sha256": (str,),
    "output": (dict,),
    "seed": (int,),
    "metrics": (dict,),
    "version": (str,),
}


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
        seed: Of the run that learned it.
        metrics: Scores on the run's splits.
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
        if self.blend not in BLENDS:
            raise PromptError(f"blend must be one of {', '.join(BLENDS)}, got {self.blend!r}.")
        scale = self.delta_scale
        if (self.blend == "add") != (scale is not None) or (scale is not None and not 0 < scale <= 1):
            raise PromptError(f"blend {self.blend!r} does not go with delta_scale={scale}.")

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
            added, kept = self._weighted
            mixed = canvases * kept
            # At most 255 * 255 + 128: x / 255 rounded to nearest, as Pillow does it, within 16 bits.
            mixed += added
            mixed += mixed >> 8
            mixed >>= 8
            return mixed.astype(np.uint8)
        return (canvases + self._delta).clip(0, 255).astype(np.uint8)

    @cached_property
    def _weighted(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        alpha = np.repeat(self.rgba[..., 3:], 3, axis=-1).astype(np.uint16)
        return self.rgba[..., :3] * alpha + np.uint16(128), 255 - alpha

    @cached_property
    def _delta(self) -> npt.NDArray[np.int16]:
        codes = self.rgba[..., :3].astype(np.int32) - 128
        delta = pixel_delta(codes, self.delta_scale or 1.0)
        return np.where(self.rgba[..., 3:] > 0, delta, 0).astype(np.int16)

    def metadata(self) -> dict[str, Any]:
        """Returns the JSON object of the file, digests included.

        Raises:
            PromptError: A field holds what JSON cannot: NaN, or an object of Python.
        """
        values: dict[str, Any] = {"schema": SCHEMA, **{name: getattr(self, name) for name in _FIELDS}}
        values["canvas"] = self.canvas.to_json()
        try:
            # Tuples and whole-number keys become what a reader of the file gets, or the digests would differ.
            values = json.loads(json.dumps(values, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise PromptError(f"the metadata of a prompt must be plain JSON: {error}.") from error
        values["pixels_sha256"] = hashlib.sha256(self.rgba.tobytes()).hexdigest()
        values["metadata_sha256"] = _digest(values)
        return values

    def save(self, path: str | Path) -> None:
        """Writes the PNG; the same prompt always gives the same bytes.

        Raises:
            PromptError: The metadata is too large for readers of PNG files.
        """
        info, buffer, text = PngInfo(), io.BytesIO(), json.dumps(self.metadata(), sort_keys=True)
        if len(text) > _MAX_TEXT:
            raise PromptError(
                f"the metadata has {len(text)} characters, more than the {_MAX_TEXT} that PNG readers accept; "
                "use an output transform with fewer numbers, such as 'frequency'."
            )
        info.add_itxt(_CHUNK, text)
        Image.fromarray(self.rgba).save(buffer, "PNG", pnginfo=info, compress_level=9)
        write_bytes(Path(path), buffer.getvalue())


def load(path: str | Path) -> Prompt:
    """Reads a prompt PNG and checks it against its digests. Runs no code from the file.

    Raises:
        PromptError: The file is no prompt, of another schema, or was changed after it was saved.
    """
    pixels, text = _read_png(Path(path))
    try:
        values = json.loads(text)
        schema, digest = values["schema"], _digest(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PromptError(f"{path}: the {_CHUNK!r} metadata is not readable JSON ({error}).") from error
    if schema != SCHEMA:
        raise PromptError(f"{path}: prompt schema {schema!r}; this version reads schema {SCHEMA}. Update pixprompt.")
    if values.get("metadata_sha256") != digest:
        raise PromptError(f"{path}: the metadata does not match its digest; it was changed after saving.")
    if values.get("pixels_sha256") != hashlib.sha256(pixels.tobytes()).hexdigest():
        raise PromptError(f"{path}: the pixels do not match their digest; the image was changed after saving.")
    missing = [name for name in _FIELDS if name not in values]
    if missing:
        raise PromptError(f"{path}: the metadata lacks {', '.join(missing)}.")
    for name, types in _FIELDS.items():
        if not isinstance(values[name], types):
            raise PromptError(f"{path}: the metadata field {name!r} is a {type(values[name]).__name__}.")
    fields = {name: values[name] for name in _FIELDS}
    fields["canvas"] = _canvas(path, values["canvas"])
    return Prompt(rgba=pixels, **fields)


def pixel_delta(codes: npt.NDArray[Any], delta_scale: float) -> npt.NDArray[np.int32]:
    """Turns codes -127..127 of blend "add" into whole pixel steps -255..255, the same on every machine."""
    return np.rint(codes.astype(np.float64) * (delta_scale * 255.0) / 127.0).astype(np.int32)


def _canvas(path: str | Path, values: dict[str, Any]) -> Canvas:
    try:
        return Canvas.from_json(values)
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error


def _digest(values: dict[str, Any]) -> str:
    plain = {key: value for key, value in values.items() if key != "metadata_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _read_png(path: Path) -> tuple[Pixels, str]:
    try:
        with open_image(path, formats=("PNG",), max_pixels=MAX_CANVAS_PIXELS) as image:
            if not isinstance(image, PngImageFile) or image.mode != "RGBA":
                raise PromptError(f"{path}: a prompt is an RGBA PNG, got {image.format} {image.mode}.")
            image.load()
            text = image.text
            pixels = np.array(image)
    except PromptError:
        raise
    except ImageError as error:
        raise PromptError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise PromptError(f"{path}: a prompt is an RGBA PNG, this file is none.") from error
    except Exception as error:  # decoders fail in whatever way they like
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PromptError(f"{path}: cannot be read ({reason}).") from error
    if _CHUNK not in text:
        raise PromptError(
            f"{path}: no {_CHUNK!r} metadata. It is not a prompt, or an image tool dropped it while saving."
        )
    return pixels, text[_CHUNK]
