"""From the model's answers to the tensor of a response: as JSON, as bytes, or as the best classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..remote.protocols.v2.reply import LENGTH_HEADER
from ..remote.protocols.v2.tensors import pack_bytes
from .messages import RequestError, Response, json_response
from .tensors import brief

__all__ = ["Output", "OutputOptions", "outputs_response", "read_output_options"]


@dataclass(frozen=True)
class Output:
    """One tensor of an answer.

    Attributes:
        values: Numbers (N, S), or N texts.
        labels: S names for the best classes, where there are any.
    """

    name: str
    values: npt.NDArray[np.float32] | Sequence[str]
    labels: Sequence[str] | None = None


@dataclass(frozen=True)
class OutputOptions:
    """How a request asks for an output.

    Attributes:
        binary: Whether its values are bytes behind the JSON.
        classes: The number of best classes; None for all numbers.
    """

    binary: bool = False
    classes: int | None = None


def read_output_options(request: dict[str, Any], names: Sequence[str]) -> dict[str, OutputOptions]:
    """Reads the "outputs" and the parameters of a request.

    Args:
        request: JSON of the request.
        names: Names of all outputs, which a request gets that names none.

    Raises:
        RequestError: They are of another form, or name another output.
    """
    binary = _flag(_parameters(request), "binary_data_output", False)
    entries = request.get("outputs") or [{"name": name} for name in names]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(400, f"outputs is a list of objects with a name, got {brief(entries)}.")
    options: dict[str, OutputOptions] = {}
    for entry in entries:
        if entry.get("name") not in names or entry["name"] in options:
            known = " or ".join(map(repr, names))
            raise RequestError(400, f"an output is called {known}, each once, got {brief(entry.get('name'))}.")
        parameters = _parameters(entry)
        classes = parameters.get("classification")
        if classes is not None and (type(classes) is not int or classes < 1):
            raise RequestError(400, f"classification is a number of classes, got {brief(classes)}.")
        options[entry["name"]] = OutputOptions(_flag(parameters, "binary_data", binary), classes)
    return options


def outputs_response(fields: dict[str, Any], outputs: Sequence[Output], options: dict[str, OutputOptions]) -> Response:
    """Returns those outputs that are asked for as a response, in the order of the request.

    Args:
        fields: What the JSON says besides the outputs.
        outputs: All outputs of the model.
        options: From `read_output_options`.
    """
    by_name = {output.name: output for output in outputs}
    entries, parts = [], []
    for name, wanted in options.items():
        entry, raw = _entry(by_name[name], wanted)
        entries.append(entry)
        parts.append(raw)
    head = json_response({**fields, "outputs": entries})
    if not any(wanted.binary for wanted in options.values()):
        return head
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head.body))}
    return Response(200, head.body + b"".join(parts), headers)


def _entry(output: Output, options: OutputOptions) -> tuple[dict[str, Any], bytes]:
    """Returns the JSON of an output, and its bytes where these follow."""
    values = output.values
    if options.classes is not None and isinstance(values, np.ndarray):
        texts = [text for row in values for text in _best(row, options.classes, output.labels)]
        shape = [len(values), len(texts) // len(values)]
    elif not isinstance(values, np.ndarray):
        texts, shape = list(values), [len(values)]
    else:
        entry: dict[str, Any] = {"name": output.name, "shape": list(values.shape), "datatype": "FP32"}
        raw = values.astype("<f4").tobytes()
        return _with_data(entry, raw, None if options.binary else values.ravel().tolist())
    entry = {"name": output.name, "shape": shape, "datatype": "BYTES"}
    return _with_data(entry, pack_bytes(text.encode() for text in texts), None if options.binary else texts)


def _with_data(entry: dict[str, Any], raw: bytes, data: list[Any] | None) -> tuple[dict[str, Any], bytes]:
    if data is not None:
        return {**entry, "data": data}, b""
    return {**entry, "parameters": {"binary_data_size": len(raw)}}, raw


def _best(row: npt.NDArray[np.float32], count: int, labels: Sequence[str] | None) -> list[str]:
    """Returns "value:index:label" of the largest values; of equal ones, the first index goes first."""
    order = np.argsort(-row, kind="stable")[:count].tolist()
    # Nine digits give back the same float32.
    return [f"{row[index]:.9g}:{index}" + (f":{labels[index]}" if labels else "") for index in order]


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
