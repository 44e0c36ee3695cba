"""The answer of a v2 server: finding the output in its JSON and binary parts, and one row per image in that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from ...messages import Incoming
from ..answers import finite, garbled, parse_json, raise_error, short
from .tensors import read_tensor, split_parts

__all__ = ["LENGTH_HEADER", "classes", "image_rows", "read_output"]

LENGTH_HEADER = "Inference-Header-Content-Length"
"""How many bytes of the (decompressed) body are JSON; without it, all of them."""


def read_output(incoming: Incoming, name: str | None) -> tuple[str, npt.NDArray[Any]]:
    """Reads one output of an answer.

    Args:
        name: Name of the output; an output that comes alone is taken whatever its name.

    Returns:
        Its datatype, and its values: float64, or str (dtype object).

    Raises:
        Fault: GARBLED if it cannot be read, BUSY if it holds an error.
    """
    length = _head_length(incoming)
    body = parse_json(incoming, incoming.body[:length])
    raise_error(body, incoming)
    outputs = body.get("outputs") if isinstance(body, dict) else None
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise garbled(f"expected a list of outputs, got {short(body)}", incoming)
    names = [item.get("name") for item in outputs]
    if len(outputs) != 1 and name not in names:
        expectation = f"output {name!r}" if name else "one output (choose with option 'output')"
        raise garbled(f"expected {expectation}, got {short(names)}", incoming)
    place = 0 if len(outputs) == 1 else names.index(name)
    try:
        raw = split_parts(outputs, incoming.body[length:])[place]
    except ValueError as error:
        raise garbled(str(error), incoming) from error
    return str(outputs[place].get("datatype")), read_tensor(outputs[place], raw, incoming)


def image_rows(tensor: npt.NDArray[Any], count: int, incoming: Incoming) -> npt.NDArray[Any]:
    """Turns (N, S), with any number of ones between and behind, or (S,) for one image, into (N, S).

    Raises:
        Fault: GARBLED, it is of another shape.
    """
    shape = tensor.shape
    wide = [size for size in shape[1:] if size != 1]
    alone = count == 1 and len(shape) == 1
    if not alone and (shape[0] != count or len(wide) > 1):
        raise garbled(f"expected the shape ({count}, S), got {list(shape)}", incoming)
    return tensor.reshape(count, -1)


def classes(texts: Iterable[str], labels: Sequence[str], incoming: Incoming) -> list[tuple[str, float]]:
    """Reads "value:index:label"; a label may hold colons.

    Args:
        texts: Elements about one image.
        labels: What the indices stand for where the server names no label; without these, the index is the label.

    Raises:
        Fault: GARBLED, an element is of another form, or an index comes twice.
    """
    names, known_names = [], set[str]()
    for text in texts:
        value, _, rest = text.partition(":")
        index, _, label = rest.partition(":")
        if not (index.isascii() and index.isdigit() and len(index) < 10):
            raise garbled(f"expected value:index:label, got {short(text)}", incoming)
        if index in known_names:
            raise garbled(f"the index {index} comes twice", incoming)
        known_names.add(index)
        name = label or (labels[int(index)] if int(index) < len(labels) else index)
        names.append((name, _value(value, incoming)))
    return names


def _value(text: str, incoming: Incoming) -> float:
    try:
        value = finite(float(text))
    except ValueError:
        value = None
    if value is None:
        raise garbled(f"expected a finite value before the index, got {short(text)!r}", incoming)
    return value


def _head_length(incoming: Incoming) -> int:
    declared = incoming.headers.get(LENGTH_HEADER.lower(), str(len(incoming.body)))
    if not (declared.isascii() and declared.isdigit() and len(declared) < 19) or int(declared) > len(incoming.body):
        raise garbled(
            f"expected {short(declared)} bytes of JSON, as the header says, got {len(incoming.body)}", incoming
        )
    return int(declared)
