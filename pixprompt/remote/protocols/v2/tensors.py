"""Tensors of the Open Inference Protocol v2: their datatypes, in JSON and in the binary extension.

Reference:
    Open Inference Protocol, "Inference Protocol API V2"; binary tensor data extension: little-endian, row major, an
    element of BYTES is a 4-byte length and the bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import Incoming
from ..answers import garbled, short

__all__ = ["IMAGE_TYPES", "NUMBERS", "pack_bytes", "read_tensor", "split_parts", "unpack_bytes"]

NUMBERS = {
    **{"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2"},
    **{"INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BF16": "<u2"},
}
"""Datatype -> NumPy's name of it; BF16 is the upper half of a float32."""
IMAGE_TYPES = ("UINT8", "UINT16", "UINT32", "UINT64", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")
"""Datatypes that an image can be sent as."""
_LENGTH = struct.Struct("<I")


def pack_bytes(elements: Iterable[bytes]) -> bytes:
    """Returns the elements of a BYTES tensor, each after its length."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def unpack_bytes(raw: bytes | memoryview) -> list[bytes]:
    """Returns the elements of a BYTES tensor.

    Raises:
        ValueError: One is cut.
    """
    elements, place = [], 0
    while place < len(raw):
        begin = place + _LENGTH.size
        place = begin + (_LENGTH.unpack(raw[place:begin])[0] if begin <= len(raw) else 0)
        if place > len(raw):
            raise ValueError("BYTES elements are each sent behind their length, 4 bytes little-endian; one is cut")
        elements.append(bytes(raw[begin:place]))
    return elements


def split_parts(tensors: Sequence[Mapping[str, Any]], content: bytes) -> list[bytes | None]:
    """Cuts the binary data behind the JSON into the parts of its tensors, None for those whose data the JSON holds.

    Args:
        tensors: The "inputs" of a request or the "outputs" of an answer.

    Raises:
        ValueError: The sizes that they say do not add up to the data.
    """
    parts: list[bytes | None] = []
    place = 0
    for tensor in tensors:
        parameters = tensor.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is not None and (type(size) is not int or not 0 <= size <= len(content) - place):
            raise ValueError(f"expected a size of binary data up to {len(content) - place}, got {short(size)}")
        parts.append(None if size is None else content[place : place + size])
        place += size or 0
    if place != len(content):
        raise ValueError(f"expected {place} bytes of binary data, got {len(content)}")
    return parts


def read_tensor(output: dict[str, Any], raw: bytes | None, incoming: Incoming) -> npt.NDArray[Any]:
    """Reads one output of an answer.

    Args:
        output: Its entry in the JSON part.
        raw: Its part of the binary data; None where the data are in the JSON.

    Returns:
        float64, or str (dtype object), of the shape that the entry says.

    Raises:
        Fault: GARBLED, the data do not fit the shape or the datatype.
    """
    shape = _shape(output, incoming)
    datatype = output.get("datatype")
    values: npt.NDArray[Any]
    if datatype == "BYTES":
        values = _texts(output.get("data"), incoming) if raw is None else _unpack_texts(raw, incoming)
    elif isinstance(datatype, str) and datatype in NUMBERS:
        values = _numbers(output.get("data"), incoming) if raw is None else _unpack(raw, datatype, incoming)
    else:
        raise garbled(f"expected a datatype of the protocol, got {short(datatype)}", incoming)
    if values.size != math.prod(shape):
        raise garbled(f"expected {math.prod(shape)} numbers for the shape {shape}, got {values.size}", incoming)
    return values.reshape(shape)


def _shape(output: dict[str, Any], incoming: Incoming) -> list[int]:
    shape = output.get("shape")
    is_list = isinstance(shape, list) and 0 < len(shape) <= 8
    if not is_list or not all(type(size) is int and 0 < size < 2**31 for size in shape or ()):
        raise garbled(f"expected a shape of positive whole numbers, got {short(shape)}", incoming)
    return list(shape or ())


def _numbers(data: object, incoming: Incoming) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(data if isinstance(data, list) else None)
    except ValueError as error:  # ragged, or nested too deeply
        raise garbled("expected numbers in rows of one length, got ragged ones", incoming) from error
    if values.dtype.kind not in "biuf":
        raise garbled(f"expected numbers as data, got {short(data)}", incoming)
    return values.ravel().astype(np.float64)


def _texts(data: object, incoming: Incoming) -> npt.NDArray[np.object_]:
    try:
        values = np.asarray(data if isinstance(data, list) else None, dtype=object).ravel()
    except ValueError as error:
        raise garbled("expected texts in rows of one length, got ragged ones", incoming) from error
    if not all(isinstance(value, str) for value in values):
        raise garbled(f"expected texts as data, got {short(data)}", incoming)
    return values


def _unpack(raw: bytes, datatype: str, incoming: Incoming) -> npt.NDArray[np.float64]:
    kind = np.dtype(NUMBERS[datatype])
    if len(raw) % kind.itemsize:
        raise garbled(f"expected whole {datatype} numbers, got {len(raw)} bytes", incoming)
    values = np.frombuffer(raw, dtype=kind)
    if datatype == "BF16":
        values = (values.astype("<u4") << 16).view("<f4")
    with np.errstate(invalid="ignore"):  # a signaling NaN; what is not finite is found later
        return values.astype(np.float64)


def _unpack_texts(raw: bytes, incoming: Incoming) -> npt.NDArray[np.object_]:
    try:
        return np.array([element.decode() for element in unpack_bytes(raw)], dtype=object)
    except ValueError as error:
        raise garbled(f"expected texts as BYTES elements, got other bytes ({error})", incoming) from error
