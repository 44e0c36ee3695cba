"""The REST interface of TensorFlow Serving, as other servers speak it too.

Reference:
    TensorFlow Serving, "RESTful API": row and column format, binary values as {"b64": ...}, `:classify`.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ...core import ConfigError, EndpointError
from ...registry import suggest
from ...replies.parse import Reply
from ..messages import Incoming, ItemFault, Outgoing, Picture
from ..protocol import PAUSES, PROTOCOLS, Declared, Endpoint, Protocol
from .answers import (
    check_count,
    garbled,
    load_json,
    named_scores,
    parse_json,
    raise_error,
    row_of_scores,
    short,
)
from .options import check_keys, choice_option, text_option
from .pixels import LAYOUTS, PixelValues

__all__ = ["Signature", "TFServing", "find_signature"]

_OPTIONS = ("input", "output", "signature", "format", "datatype", "layout", "range")
_PATH = re.compile(r"(?P<model>.*/v1/models/[^/:]+(/(versions|labels)/[^/:]+)?)(?P<verb>:predict|:classify)?/?")
_DEFAULT = "serving_default"


@PROTOCOLS.register("tf-serving")
class TFServing(Protocol):
    """TensorFlow Serving's REST interface, `:predict` or `:classify`.

    Options: "input" (a name that ends in "_bytes" gets image files); "output", where there are several; "signature";
    "format": "row" (default) or "column"; "datatype": "FP32" (default), "UINT8" or "BYTES"; "layout": "NHWC"
    (default) or "NCHW"; "range" of the numbers (see `PixelValues`). What is not given comes from the metadata where
    the server shows them.

    Attributes:
        pause: Waits so many seconds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        options = endpoint.options
        check_keys(options, _OPTIONS, "protocol 'tf-serving'")
        match = _PATH.fullmatch(urlsplit(endpoint.url).path)
        if match is None:
            raise ConfigError(f"expected a URL like http://host/v1/models/NAME:predict, got {endpoint.url}.")
        self._model = match["model"]
        self.verb = (match["verb"] or ":predict")[1:]
        self.column = choice_option(options, "format", ("row", "column")) == "column"
        if self.column and self.verb == "classify":
            raise ConfigError("':classify' knows no column format; leave out option 'format'.")
        self.values = PixelValues(options.get("range", "unit"))
        self.output = text_option(options, "output")
        self.signature = text_option(options, "signature")
        self.pause: Callable[[float], None] = time.sleep
        self._use(Signature(text_option(options, "input")))

    def _use(self, signature: Signature) -> None:
        """Settles how images travel: options, then what is known about the signature, then the conventions."""
        options = self.endpoint.options
        by_name = "BYTES" if (signature.input or "").endswith("_bytes") else signature.datatype
        self.datatype = choice_option(options, "datatype", ("FP32", "UINT8", "BYTES")) or by_name
        self.layout = choice_option(options, "layout", LAYOUTS) or signature.layout or "NHWC"
        self.input, self.max_batch, self.sends_files = signature.input, signature.max_batch, self.datatype == "BYTES"
        if self.datatype != "FP32" and options.get("range", "byte") != "byte":
            raise ConfigError(f"images go as {self.datatype}, which have no other range; leave out option 'range'.")

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Waits until the model is loaded and reads the metadata where the server shows them.

        Raises:
            ConfigError: The options do not go with the metadata.
            EndpointError: The model is never loaded, or the server has no such model, or none that takes images.
        """
        self._wait(get)
        reply = get(Outgoing(self._url(f"{self._model}/metadata"), method="GET"))
        try:
            body = load_json(reply.body)
        except ValueError:
            return Declared()
        if not isinstance(body, dict):
            return Declared()
        if reply.status >= 300 and body.get("error"):
            raise EndpointError(f"{self._url(self._model)} answers {reply.status}: {short(body['error'])}.")
        input_name = text_option(self.endpoint.options, "input")
        signature = find_signature(body, self.signature or _DEFAULT, input_name, self.output) or Signature(input_name)
        self._use(signature)
        return Declared(signature.image_size, signature.num_outputs, max_batch=signature.max_batch)

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one batch; images that go as numbers are of one size."""
        message: dict[str, Any] = {"signature_name": self.signature} if self.signature else {}
        values = self._values(pictures)
        named = self.input is not None
        if self.verb == "classify":
            message["examples"] = [{self.input or "image/encoded": value} for value in values]
        elif self.column:
            message["inputs"] = {self.input: values} if named else values
        else:
            message["instances"] = [{self.input: value} for value in values] if named else values
        body = json.dumps(message, separators=(",", ":")).encode()
        return Outgoing(self._url(f"{self._model}:{self.verb}"), body, {"Content-Type": "application/json"})

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads predictions, outputs or classes.

        Raises:
            Fault: GARBLED if it cannot be read, BUSY if it holds an error.
        """
        body = parse_json(incoming)
        raise_error(body, incoming)
        rows = self._rows(body if isinstance(body, dict) else {}, incoming)
        if not isinstance(rows, list):
            raise garbled(f"expected a list of answers, got {short(body)}", incoming)
        if count == 1 and rows and not isinstance(rows[0], list | dict | str):
            rows = [rows]
        check_count(len(rows), count, incoming)
        return [self._answer(row, incoming) for row in rows]

    def _wait(self, get: Callable[[Outgoing], Incoming]) -> None:
        """Asks for the state of the model as long as it is being loaded."""
        url = self._url(self._model)
        for seconds in (*PAUSES, None):
            states = _states(get(Outgoing(url, method="GET")))
            if "AVAILABLE" in states or not {"START", "LOADING"} & set(states):
                return
            if seconds is not None:
                self.pause(seconds)
        raise EndpointError(f"{url} is not ready: {', '.join(states)}. Run again when it is loaded.")

    def _values(self, pictures: Sequence[Picture]) -> list[Any]:
        if self.datatype == "BYTES":
            return [{"b64": base64.b64encode(picture.content).decode()} for picture in pictures]
        if self.datatype == "UINT8":
            return list(self.values.integers(pictures, self.layout).tolist())
        return list(self.values.tensor(pictures, self.layout, decimals=True).tolist())

    def _rows(self, body: Mapping[str, Any], incoming: Incoming) -> object:
        if self.verb == "classify":  # documented as one, sent as the other
            return body.get("results", body.get("result"))
        rows = body.get("outputs" if self.column else "predictions")
        return self._pick(rows, incoming) if self.column and isinstance(rows, dict) else rows

    def _answer(self, row: object, incoming: Incoming) -> Reply:
        value = self._pick(row, incoming) if isinstance(row, dict) else row
        if isinstance(value, str):
            return value
        is_named = isinstance(value, list) and value and all(isinstance(item, list) for item in value)
        if isinstance(value, list) and is_named:
            if not all(len(item) == 2 and isinstance(item[0], str) for item in value):
                raise garbled(f"expected pairs of label and score, got {short(value)}", incoming)
            return named_scores(((label, score) for label, score in value), incoming)
        return row_of_scores(value, incoming)

    def _pick(self, outputs: Mapping[str, Any], incoming: Incoming) -> object:
        """Picks the output that is wanted, or the only one."""
        if self.output is not None and self.output in outputs:
            return outputs[self.output]
        if self.output is not None or len(outputs) != 1:
            expectation = f"output {self.output!r}" if self.output else "one output (choose with option 'output')"
            raise garbled(f"expected {expectation}, got {short(list(outputs))}", incoming)
        return next(iter(outputs.values()))

    def _url(self, path: str) -> str:
        parts = urlsplit(self.endpoint.url)
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _states(reply: Incoming) -> list[str]:
    """Returns the states of the versions of a model; none where the reply is about something else."""
    try:
        body = load_json(reply.body)
    except ValueError:
        return []
    versions = body.get("model_version_status") if isinstance(body, dict) else None
    return [str(item.get("state")) for item in versions if isinstance(item, dict)] if isinstance(versions, list) else []


_FLOATS = {"DT_FLOAT": "FP32", "DT_HALF": "FP32", "DT_DOUBLE": "FP32", "DT_BFLOAT16": "FP32"}
_WHOLES = {f"DT_{sign}INT{bits}": "UINT8" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_TYPES = {**_FLOATS, **_WHOLES, "DT_STRING": "BYTES"}


@dataclass(frozen=True)
class Signature:
    """How a signature takes images and answers.

    Attributes:
        input: Name of the input; None where it stays unsaid.
        datatype: "FP32", "UINT8" (any whole numbers) or "BYTES".
        layout: "NCHW" or "NHWC" where the shape tells.
        image_size: (height, width) where the shape tells.
        max_batch: 1 where the shape allows no more.
        num_outputs: S where there is one output of numbers, of shape (N, S).
    """

    input: str | None = None
    datatype: str = "FP32"
    layout: str | None = None
    image_size: tuple[int, int] | None = None
    max_batch: int | None = None
    num_outputs: int | None = None


def find_signature(metadata: Mapping[str, Any], name: str, wanted: str | None, output: str | None) -> Signature | None:
    """Reads the signature that is used from the answer of GET .../metadata.

    Args:
        name: Name of the signature.
        wanted: Option "input".
        output: Option "output".

    Returns:
        None where the answer does not hold signatures.

    Raises:
        ConfigError: There is no such signature, input or output, or there are several to choose from.
        EndpointError: Its input takes no RGB images.
    """
    signatures = _at(metadata, "metadata", "signature_def", "signature_def")
    if not signatures:
        return None
    if name not in signatures:
        known = ", ".join(signatures)
        raise ConfigError(f"the model has no signature {name!r}.{suggest(name, signatures)} It has: {known}.")
    inputs, outputs = _at(signatures, name, "inputs"), _at(signatures, name, "outputs")
    if wanted is None and len(inputs) > 1:
        raise ConfigError(f"signature {name!r} has several inputs: choose one of {', '.join(inputs)} as 'input'.")
    chosen = wanted or next(iter(inputs), None)
    if chosen not in inputs:
        known = ", ".join(inputs) or "none"
        raise ConfigError(f"signature {name!r} has no input {chosen!r}; it has: {known}. Give option 'input'.")
    if outputs and (output not in outputs if output else len(outputs) > 1):
        raise ConfigError(f"signature {name!r} has the outputs {', '.join(outputs)}: choose one as option 'output'.")
    return _signature(str(chosen), inputs[chosen], outputs, output)


def _signature(name: str, tensor: object, outputs: dict[str, Any], output: str | None) -> Signature:
    tensor = tensor if isinstance(tensor, dict) else {}
    datatype, shape = _TYPES.get(str(tensor.get("dtype"))), _shape(tensor)
    scores = _shape(outputs.get(output or "", outputs[next(iter(outputs))] if len(outputs) == 1 else {}))
    num_outputs = scores[1] if scores is not None and len(scores) == 2 and scores[1] > 1 else None
    max_batch = 1 if shape and shape[0] == 1 else None
    if datatype == "BYTES" or (datatype and not shape):
        return Signature(name, datatype, max_batch=max_batch, num_outputs=num_outputs)
    layout = None if shape is None or len(shape) != 4 else "NHWC" if shape[3] == 3 else "NCHW"
    if shape is None or datatype is None or layout is None or shape[3 if layout == "NHWC" else 1] not in (3, -1):
        raise EndpointError(
            f"input {name!r} takes {tensor.get('dtype')} of shape {shape}: expected texts, or numbers of a shape such "
            "as [-1, 224, 224, 3]. Choose another with option 'input' or 'signature'."
        )
    height, width = shape[1:3] if layout == "NHWC" else shape[2:4]
    size = (height, width) if min(height, width) > 0 else None
    known_layout = layout if shape[3 if layout == "NHWC" else 1] == 3 else None
    return Signature(name, datatype, known_layout, size, max_batch, num_outputs)


def _shape(tensor: object) -> list[int] | None:
    dimensions = _at(tensor, "tensor_shape").get("dim")
    if not isinstance(dimensions, list):
        return None
    try:
        return [int(dimension["size"]) for dimension in dimensions]
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _at(value: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
