"""From the tensor of a request to images.

The one input "images" is understood in several forms, by the datatype and the shape that the request says:

- UINT8 [N, H, W, 3] or [N, 3, H, W]: the pixels as they are in a file.
- FP32 [N, 3, H, W] or [N, H, W, 3]: values in [0, 1].
- BYTES [N] or [N, 1]: PNG or JPEG files of exactly H x W; in JSON as base64.
"""

from __future__ import annotations

import io
import math
import reprlib
from base64 import b64decode
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..canvas import Pixels, decode
from ..core import ImageError
from ..remote.protocols.v2.tensors import unpack_bytes
from .messages import RequestError

__all__ = ["InputTensor", "any_images", "brief", "decode_images", "read_input", "split_elements"]

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxstring = 2, 8, 4, 60


@dataclass(frozen=True)
class InputTensor:
    """One tensor as it was sent.

    Attributes:
        datatype: As the protocol names it.
        shape: N >= 1 in front.
        data: What the JSON holds; None where the bytes followed it.
        raw: The bytes that followed it; None where the JSON holds the data.
    """

    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | None
    raw: memoryview | None


def read_input(value: object, rest: memoryview) -> InputTensor:
    """Reads the description of the one tensor of a request.

    Args:
        value: An element of the JSON's "inputs".
        rest: What follows the JSON in the body; all of it belongs to this tensor.

    Raises:
        RequestError: A field is missing or of another type, or the bytes are not as many as it says.
    """
    fields = value if isinstance(value, dict) else {}
    if fields.get("name") != "images":
        raise RequestError(400, f"the input is called 'images', got {brief(fields.get('name'))}.")
    shape, datatype, data = fields.get("shape"), fields.get("datatype"), fields.get("data")
    if not isinstance(datatype, str):
        raise RequestError(400, f"datatype is UINT8, FP32 or BYTES, got {brief(datatype)}.")
    if not isinstance(shape, list) or not 0 < len(shape) < 9 or not all(type(size) is int for size in shape):
        raise RequestError(400, f"shape is a list of whole numbers, got {brief(shape)}.")
    parameters = fields.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        if not isinstance(data, list):
            raise RequestError(
                400, f"data is a list, or the parameter binary_data_size says its bytes; got {brief(data)}."
            )
        if rest:
            raise RequestError(
                400, f"{len(rest)} bytes follow the JSON, but no input has the parameter binary_data_size."
            )
        return InputTensor(datatype, tuple(shape), data, None)
    if data is not None or type(size) is not int or size != len(rest):
        raise RequestError(
            400, f"binary_data_size says {brief(size)} instead of data, but {len(rest)} bytes follow the JSON."
        )
    return InputTensor(datatype, tuple(shape), None, rest)


def decode_images(tensor: InputTensor, image_size: tuple[int, int], max_images: int) -> npt.NDArray[Any]:
    """Returns the images of a tensor, (N, 3, H, W): uint8, or float32 of any value.

    Args:
        image_size: (H, W) of the model.
        max_images: More are refused before anything is decoded.

    Raises:
        RequestError: The tensor is no batch of images of that size.
    """
    height, width = image_size
    first, last = [3, height, width], [height, width, 3]
    # Of a model for 3x3 pixels, whose shapes say nothing, the first form of each datatype counts.
    shapes = {"UINT8": [last, first], "FP32": [first, last], "BYTES": [[], [1]]}
    if tensor.datatype not in shapes:
        raise RequestError(400, f"datatype is UINT8, FP32 or BYTES, got {brief(tensor.datatype)}.")
    inner = list(tensor.shape[1:])
    if inner not in shapes[tensor.datatype]:
        expected = " or ".join(f"[{', '.join(['N', *map(str, sizes)])}]" for sizes in shapes[tensor.datatype])
        raise RequestError(400, f"{tensor.datatype} images have the shape {expected}, got {brief(list(tensor.shape))}.")
    _check_count(tensor, max_images)
    if tensor.datatype == "BYTES":
        files = [_pixels(content, image_size) for content in _read_files(tensor)]
        return np.stack(files).transpose(0, 3, 1, 2)
    images = _read_uint8(tensor) if tensor.datatype == "UINT8" else _read_fp32(tensor)
    is_last = next(sizes for sizes in shapes[tensor.datatype] if sizes == inner) is last
    return images.transpose(0, 3, 1, 2) if is_last else images


def any_images(tensor: InputTensor, max_images: int) -> list[Pixels | bytes]:
    """Returns the images of a tensor of any size: (H, W, 3) uint8, or the bytes of image files.

    Args:
        max_images: More are refused before anything is decoded.

    Raises:
        RequestError: The tensor is no batch of images.
    """
    inner = tensor.shape[1:]
    files = tensor.datatype == "BYTES" and inner in ((), (1,))
    if not files and not (tensor.datatype in ("UINT8", "FP32") and len(inner) == 3 and 3 in (inner[0], inner[2])):
        raise RequestError(
            400,
            "images are BYTES [N] or [N, 1], or UINT8 or FP32 [N, H, W, 3] or [N, 3, H, W], got "
            f"{brief(tensor.datatype)} {brief(list(tensor.shape))}.",
        )
    _check_count(tensor, max_images)
    if files:
        return list(_read_files(tensor))
    images = _read_uint8(tensor) if tensor.datatype == "UINT8" else _to_bytes(_read_fp32(tensor))
    return list(images if inner[2] == 3 else images.transpose(0, 2, 3, 1))


def _check_count(tensor: InputTensor, max_images: int) -> None:
    count = tensor.shape[0]
    if min(tensor.shape) < 1:
        raise RequestError(400, f"expected one image or more, got the shape {brief(list(tensor.shape))}.")
    if count > max_images:
        raise RequestError(413, f"at most {max_images} images per request, got {count}.")


def _to_bytes(images: npt.NDArray[np.float32]) -> Pixels:
    if not ((images >= 0) & (images <= 1)).all():
        raise RequestError(400, "FP32 images have values in [0, 1], not normalised; some lie outside.")
    return np.rint(images * 255).astype(np.uint8)


def brief(value: object) -> str:
    """Quotes what came for a message, without walking through a large list."""
    return _BRIEF.repr(value)


def _read_uint8(tensor: InputTensor) -> Pixels:
    if tensor.raw is not None:
        return _from_bytes(tensor, np.uint8)
    values = _flat(tensor, (int,))
    if min(values) < 0 or max(values) > 255:
        raise RequestError(400, "UINT8 data are whole numbers from 0 to 255; some lie outside.")
    return np.array(values, np.uint8).reshape(tensor.shape)


def _read_fp32(tensor: InputTensor) -> npt.NDArray[np.float32]:
    if tensor.raw is not None:
        return _from_bytes(tensor, np.dtype("<f4")).astype(np.float32, copy=False)
    try:
        values = np.array(_flat(tensor, (int, float)), np.float64)
    except OverflowError as error:
        raise RequestError(400, "FP32 data are numbers in [0, 1]; some are too large for any float.") from error
    with np.errstate(over="ignore"):  # infinity is out of range, and will be called so
        return values.astype(np.float32).reshape(tensor.shape)


def _from_bytes(tensor: InputTensor, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    raw, size = tensor.raw or memoryview(b""), math.prod(tensor.shape) * np.dtype(kind).itemsize
    if len(raw) != size:
        raise RequestError(400, f"{tensor.datatype} {list(tensor.shape)} takes {size} bytes, got {len(raw)}.")
    return np.frombuffer(raw, kind).reshape(tensor.shape).copy()  # torch wants memory that it may write


def _flat(tensor: InputTensor, kinds: tuple[type, ...]) -> list[Any]:
    """Returns the numbers of JSON data, flat or nested as the shape says, after a look at every type."""
    values = tensor.data or []
    if list in set(map(type, values)):
        values = [values]
        for size in tensor.shape:
            if set(map(type, values)) != {list} or set(map(len, values)) != {size}:
                raise RequestError(400, f"the nested data do not have the shape {list(tensor.shape)}.")
            values = list(chain.from_iterable(values))
    if len(values) != math.prod(tensor.shape):
        raise RequestError(
            400, f"the shape {list(tensor.shape)} takes {math.prod(tensor.shape)} numbers, got {len(values)}."
        )
    if not set(map(type, values)) <= set(kinds):
        raise RequestError(400, f"{tensor.datatype} data are {'whole ' if kinds == (int,) else ''}numbers.")
    return values


def _read_files(tensor: InputTensor) -> list[bytes]:
    files = split_elements(tensor.raw) if tensor.raw is not None else [_from_base64(item) for item in _files(tensor)]
    if len(files) != tensor.shape[0]:
        raise RequestError(400, f"the shape {list(tensor.shape)} takes {tensor.shape[0]} files, got {len(files)}.")
    return files


def _files(tensor: InputTensor) -> list[Any]:
    values = tensor.data or []
    if len(tensor.shape) == 2 and all(isinstance(item, list) and len(item) == 1 for item in values):
        return [item[0] for item in values]
    return values


def _from_base64(item: object) -> bytes:
    if not isinstance(item, str):
        raise RequestError(400, f"BYTES data are image files in base64, got {brief(item)}.")
    try:
        return b64decode(item, validate=True)
    except ValueError as error:
        raise RequestError(400, f"BYTES data are image files in base64: {error}.") from error


def split_elements(raw: memoryview) -> list[bytes]:
    """Returns the elements of a BYTES tensor of the binary extension.

    Raises:
        RequestError: One is cut.
    """
    try:
        return unpack_bytes(raw)
    except ValueError as error:
        raise RequestError(400, f"{error}.") from error


def _pixels(content: bytes, image_size: tuple[int, int]) -> Pixels:
    try:
        # Opening reads the header alone, so that a file that would unpack to gigabytes is refused by its size.
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            size = image.height, image.width
    except Image.DecompressionBombError as error:
        raise RequestError(400, f"an image file has far more than {image_size[0]}x{image_size[1]} pixels.") from error
    except Exception as error:  # Pillow's readers fail in many ways
        raise RequestError(400, "BYTES elements are PNG or JPEG files; one is not.") from error
    if size == image_size:
        try:
            pixels = np.asarray(decode(content))
        except ImageError as error:
            raise RequestError(400, str(error)) from error
        size = pixels.shape[:2]  # the file may have been turned upright
    if size != image_size:
        raise RequestError(
            400, f"an image file has {size[0]}x{size[1]} pixels, expected {image_size[0]}x{image_size[1]} (h x w)."
        )
    return pixels
