"""The PNG file of prompts: an RGBA image and one iTXt chunk of JSON, both under a digest. No torch import.

With blend "over" the pixels are the overlay itself. With blend "add", RGB holds the signed delta as
`round(delta / delta_scale * 127) + 128` and alpha the mask. The chunk `pixprompt` says how the canvas is made and how
answers become labels. Schema 1 is one prompt on a canvas without boxes, turns and tones. Schema 2 adds those, and
committees: their pages lie below one another in one image, and `pages` says of each what schema 1 says of its only one.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from ..canvas import MAX_CANVAS_PIXELS, Pixels, open_image
from ..core import ImageError, PromptError
from ..files import write_bytes

__all__ = ["SCHEMA", "name_of", "read_prompt_file", "take", "with_digests", "write_prompt_file"]

SCHEMA = 2
"""The newest schema that this version reads; a file says the oldest that holds it."""
_MIN_VERSIONS = {2: "0.5"}
_CHUNK = "pixprompt"
_MAX_TEXT = 60 * 2**20  # Pillow reads 64 MiB of text at most


def with_digests(schema: int, values: dict[str, Any], rgba: Pixels) -> dict[str, Any]:
    """Returns the JSON object of a file, its digests included.

    Raises:
        PromptError: A value is nothing that JSON holds: NaN, or an object of Python.
    """
    values = {"schema": schema, **values}
    if schema in _MIN_VERSIONS:
        values["min_version"] = _MIN_VERSIONS[schema]
    try:
        # Tuples and whole-number keys become what a reader of the file gets, or the digests would differ.
        values = json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PromptError(f"the metadata of a prompt must be plain JSON: {error}.") from error
    values["pixels_sha256"] = hashlib.sha256(rgba.tobytes()).hexdigest()
    values["metadata_sha256"] = _digest(values)
    return values


def write_prompt_file(path: str | Path, rgba: Pixels, values: dict[str, Any]) -> None:
    """Writes pixels and what `with_digests` returned; the same prompt always gives the same bytes.

    Raises:
        PromptError: The metadata is too large for readers of PNG files.
    """
    info, buffer, text = PngInfo(), io.BytesIO(), json.dumps(values, sort_keys=True)
    if len(text) > _MAX_TEXT:
        raise PromptError(
            f"the metadata has {len(text)} characters, more than the {_MAX_TEXT} that PNG readers accept; "
            "use an output transform with fewer numbers, such as 'frequency'."
        )
    info.add_itxt(_CHUNK, text)
    Image.fromarray(rgba).save(buffer, "PNG", pnginfo=info, compress_level=9)
    write_bytes(Path(path), buffer.getvalue())


def read_prompt_file(source: str | Path | bytes) -> tuple[Pixels, dict[str, Any]]:
    """Reads the pixels and the JSON object of a file, or of its bytes, checked against its digests. Runs no code of it.

    Raises:
        PromptError: The file is no prompt, of a newer schema, or was changed after it was saved.
    """
    path = name_of(source)
    pixels, text = _read_png(source)
    try:
        values = json.loads(text)
        schema, digest = values["schema"], _digest(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PromptError(f"{path}: the {_CHUNK!r} metadata is not readable JSON ({error}).") from error
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        newer = values.get("min_version")
        needed = f" It needs pixprompt {newer} or newer." if isinstance(newer, str) and len(newer) < 20 else ""
        raise PromptError(
            f"{path}: prompt schema {schema!r}; this version reads schemas 1 to {SCHEMA}.{needed} Update pixprompt."
        )
    if values.get("metadata_sha256") != digest:
        raise PromptError(f"{path}: the metadata does not match its digest; it was changed after saving.")
    if values.get("pixels_sha256") != hashlib.sha256(pixels.tobytes()).hexdigest():
        raise PromptError(f"{path}: the pixels do not match their digest; the image was changed after saving.")
    return pixels, values


def take(path: str | Path, values: Any, types: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """Returns the named fields of a JSON object.

    Raises:
        PromptError: One is missing or of another type.
    """
    missing = [name for name in types if name not in values]
    if missing:
        raise PromptError(f"{path}: the metadata lacks {', '.join(missing)}.")
    for name, kinds in types.items():
        if not isinstance(values[name], kinds):
            raise PromptError(f"{path}: the metadata field {name!r} is a {type(values[name]).__name__}.")
    return {name: values[name] for name in types}


def _digest(values: dict[str, Any]) -> str:
    plain = {key: value for key, value in values.items() if key != "metadata_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def name_of(source: str | Path | bytes) -> str | Path:
    """Returns what messages call a prompt file."""
    return "the prompt file" if isinstance(source, bytes) else source


def _read_png(source: str | Path | bytes) -> tuple[Pixels, str]:
    path = name_of(source)
    try:
        with open_image(source, formats=("PNG",), max_pixels=MAX_CANVAS_PIXELS) as image:
            if not isinstance(image, PngImageFile) or image.mode != "RGBA":
                raise PromptError(f"{path}: a prompt is an RGBA PNG, got {image.format} {image.mode}.")
            image.load()
            pixels, text = np.array(image), image.text
    except ImageError as error:
        raise PromptError(f"{error} A prompt is an RGBA PNG.") from error
    if _CHUNK not in text:
        raise PromptError(
            f"{path}: no {_CHUNK!r} metadata. It is not a prompt, or an image tool dropped it while saving."
        )
    return pixels, text[_CHUNK]
