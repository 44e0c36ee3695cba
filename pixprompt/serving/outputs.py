"""From the model's answers to the tensor of a response: as JSON, as bytes, or as the best classes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .messages import HEADER_LENGTH, RequestError, Response, json_response
from .tensors import brief

__all__ = ["OutputOptions", "outputs_response", "read_output_options"]

_NAME = "outputs"


@dataclass(frozen=True)
class OutputOptions:
    """How a request asks for its outputs.

    Attributes:
        binary: As bytes behind the JSON.
        classes: The number of best classes; None for all numbers.
    """

    binary: bool = False
    classes: int | None = None


def read_output_options(request: dict[str, Any]) -> OutputOptions:
    """Reads the "outputs" and the parameters of a request.

    Raises:
        RequestError: They are of another form, or name another output.
    """
    binary = _flag(_parameters(request), "binary_data_output", False)
    entries = request.get("outputs") or [{"name": _NAME}]
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise RequestError(400, f"outputs is a list of the one output {_NAME!r}, got {brief(entries)}.")
    if entries[0].get("name") != _NAME:
        raise RequestError(400, f"the output is called {_NAME!r}, got {brief(entries[0].get('name'))}.")
    parameters = _parameters(entries[0])
    classes = parameters.get("classification")
    if classes is not None and (type(classes) is not int or classes < 1):
        raise RequestError(400, f"classification is a number of classes, got {brief(classes)}.")
    return OutputOptions(_flag(parameters, "binary_data", binary), classes)


def outputs_response(
    fields: dict[str, Any], rows: npt.NDArray[np.float32], options: OutputOptions, labels: Sequence[str] | None
) -> Response:
    """Returns answers (N, S) as a response.

    Args:
        fields: What the JSON says besides the outputs.
        rows: The answers.
        options: How.
        labels: S names for the best classes, where there are any.
    """
    entry: dict[str, Any] = {"name": _NAME, "shape": list(rows.shape), "datatype": "FP32"}
    if options.classes is not None:
        texts = [text for row in rows for text in _best(row, options.classes, labels)]
        entry |= {"shape": [len(rows), len(texts) // len(rows)], "datatype": "BYTES"}
    if not options.binary:
        return json_response(
            {**fields, "outputs": [{**entry, "data": rows.ravel().tolist() if options.classes is None else texts}]}
        )
    raw = rows.astype("<f4").tobytes() if options.classes is None else _packed(texts)
    head = json_response({**fields, "outputs": [{**entry, "parameters": {"binary_data_size": len(raw)}}]}).body
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return Response(200, head + raw, headers)


def _best(row: npt.NDArray[np.float32], count: int, labels: Sequence[str] | None) -> list[str]:
    """Returns "value:index:label" of the largest values; of equal ones, the first index goes first."""
    order = np.argsort(-row, kind="stable")[:count].tolist()
    # Nine digits give back the same float32.
    return [f"{row[index]:.9g}:{index}" + (f":{labels[index]}" if labels else "") for index in order]


def _packed(texts: Sequence[str]) -> bytes:
    items = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def _parameters(fields: dict[str, Any]) -> dict[str, Any]:
    parameters = fields.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError(400, f"parameters is an object, got {brief(parameters)}.")
    return parameters


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(400, f"{name} is true or false, got {brief(value)}.")
    return value
