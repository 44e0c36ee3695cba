"""The Open Inference Protocol v2: Triton, KServe, MLServer, OpenVINO Model Server and others.

Reference:
    Open Inference Protocol, "Inference Protocol API V2", with the extensions "binary tensor data" and
    "classification" (whose elements are "value:index:label").
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ....core import AnswerKind, ConfigError, EndpointError
from ....replies.parse import Reply
from ...messages import Incoming, ItemFault, Outgoing, Picture
from ...protocol import PAUSES, PROTOCOLS, Declared, Endpoint, Protocol
from ..answers import garbled, load_json, named_scores, short
from ..options import check_keys, choice_option, flag_option, whole_option
from ..pixels import PixelValues
from .metadata import ImageInput, find_input, find_output, input_from_options
from .reply import LENGTH_HEADER, classes, image_rows, read_output
from .tensors import NUMBERS, pack_bytes
from .url import V2Url

__all__ = ["V2"]

_OPTIONS = (
    *("model", "version", "input", "output", "datatype", "layout", "range", "binary", "classification", "bytes"),
)


@PROTOCOLS.register("v2")
class V2(Protocol):
    """Open Inference Protocol v2: Triton, KServe, MLServer, OpenVINO.

    Options: "model" and "version" where the URL names none; "input", "output", "datatype" and "layout" where the
    metadata do not tell; "range" of the numbers (see `PixelValues`); "binary" for the binary extension, by default
    what the server lists; "classification" for the k likeliest labels; "bytes" for how image files travel: "raw",
    which needs the binary extension since JSON cannot hold them, or "base64", as texts with the content type
    "base64" that MLServer defines.

    Attributes:
        pause: Waits so many seconds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        options = endpoint.options
        check_keys(options, _OPTIONS, "protocol 'v2'")
        self.urls = V2Url.parse(endpoint.url, options)
        self.values = PixelValues(options.get("range", "unit"))
        self.top = whole_option(options, "classification")
        self.as_text = choice_option(options, "bytes", ("raw", "base64")) == "base64"
        self.binary = flag_option(options, "binary") or False
        self.pause: Callable[[float], None] = time.sleep
        self.output = find_output({}, options)
        self.input: ImageInput | None = None
        image_input = input_from_options(options)
        if image_input is not None:
            self._use(image_input)

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Waits until the model is ready and reads its metadata.

        Raises:
            ConfigError: An option is needed that the metadata leave open.
            EndpointError: The server is never ready, or has no such model, or none that takes images.
        """
        options = self.endpoint.options
        self._wait(get, self.urls.health)
        extensions = self._extensions(get)
        if "model_repository" in extensions:
            self._check_repository(get)
        self._wait(get, self.urls.ready)
        if self.top is not None and extensions and "classification" not in extensions:
            raise ConfigError("the server lists no classification extension; leave out option 'classification'.")
        if "binary" not in options:
            self.binary = "binary_tensor_data" in extensions
        metadata = self._metadata(get)
        self.output = find_output(metadata, options)
        self._use(find_input(metadata, options) if metadata else self._input())
        if "model_configuration" in extensions and self.max_batch is None:
            self.max_batch = _max_batch(_body(get(Outgoing(self.urls.config, method="GET"))))
        known = self.output.num_outputs
        partial = self.top is not None and (known is None or self.top < known)
        answer = AnswerKind.LABEL if self._answers_labels() else self.output.answer
        answer = AnswerKind.TOP_K if partial else answer
        return Declared(self._input().image_size, known, self.output.labels, answer, self.max_batch)

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one batch; the images are of one size unless they go as files.

        Raises:
            ConfigError: The input of the model is unknown: neither discovered nor given by option "input".
        """
        entry, raw = self._tensor(pictures)
        message: dict[str, Any] = {"inputs": [entry]}
        parameters: dict[str, Any] = {"classification": self.top} if self.top else {"binary_data": True}
        if self.output.name is not None:
            wanted = {"parameters": parameters} if self.binary or self.top else {}
            message["outputs"] = [{"name": self.output.name, **wanted}]
        elif self.binary:
            message["parameters"] = {"binary_data_output": True}
        head = json.dumps(message, separators=(",", ":")).encode()
        if raw is None:
            return Outgoing(self.urls.infer, head, {"Content-Type": "application/json"})
        headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
        return Outgoing(self.urls.infer, head + raw, headers)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads an answer, JSON or binary; scores (S,), label -> score of the classification extension, or labels.

        Raises:
            Fault: GARBLED if it cannot be read, BUSY if it holds an error.
        """
        datatype, tensor = read_output(incoming, self.output.name)
        rows = image_rows(tensor, count, incoming)
        if datatype != "BYTES":
            if rows.shape[1] < 2 or not np.isfinite(rows).all():
                raise garbled(f"expected two or more finite scores per image, got {short(rows.tolist())}", incoming)
            return list(rows)
        if self.top is not None:
            return [
                named_scores(classes(row, self.endpoint.labels or (), incoming), incoming, add_up=True) for row in rows
            ]
        if rows.shape[1] != 1:
            raise garbled(f"expected one label per image, got {short(rows.tolist())}", incoming)
        return [str(row[0]) for row in rows]

    def facts(self) -> dict[str, Any]:
        """Adds the labels where they name the classes of an answer."""
        labels = self.endpoint.labels if self.top is not None else None
        return {**super().facts(), **({} if labels is None else {"labels": list(labels)})}

    def _answers_labels(self) -> bool:
        return self.output.is_text and self.top is None

    def _use(self, image_input: ImageInput) -> None:
        files = image_input.datatype == "BYTES"
        whole = not files and not image_input.datatype.startswith("FP")
        if (files or whole) and self.endpoint.options.get("range", "byte") != "byte":
            raise ConfigError(
                f"images go as {image_input.datatype}, which have no other range; leave out option 'range'."
            )
        self.input, self.sends_files, self.max_batch = image_input, files, image_input.max_batch

    def _input(self) -> ImageInput:
        if self.input is None:
            raise ConfigError(
                f"nothing is known about the input of {self.urls.model}: give options 'input', 'datatype' and 'layout'."
            )
        if self.sends_files and not self.binary and not self.as_text:
            raise ConfigError(
                f"input {self.input.name!r} takes image files, which JSON cannot hold, and the server does not list "
                "the binary extension: set option 'binary' to true, or 'bytes' to \"base64\" if the server decodes it."
            )
        return self.input

    def _tensor(self, pictures: Sequence[Picture]) -> tuple[dict[str, Any], bytes | None]:
        """Makes the entry of the input, and its binary data where it has any."""
        image_input = self._input()
        shape = image_input.shape(len(pictures), *pictures[0].pixels.shape[:2])
        entry: dict[str, Any] = {"name": image_input.name, "shape": shape, "datatype": image_input.datatype}
        if image_input.datatype == "BYTES" and self.as_text:
            texts = [base64.b64encode(picture.content).decode() for picture in pictures]
            return {**entry, "parameters": {"content_type": "base64"}, "data": texts}, None
        if image_input.datatype == "BYTES":
            raw = pack_bytes(picture.content for picture in pictures)
        elif not self.binary:
            return {**entry, "data": self._numbers(image_input, pictures, decimals=True).ravel().tolist()}, None
        else:
            raw = self._numbers(image_input, pictures).astype(NUMBERS[image_input.datatype]).tobytes()
        return {**entry, "parameters": {"binary_data_size": len(raw)}}, raw

    def _numbers(
        self, image_input: ImageInput, pictures: Sequence[Picture], *, decimals: bool = False
    ) -> npt.NDArray[np.generic]:
        if not image_input.datatype.startswith("FP"):
            return self.values.integers(pictures, image_input.layout)
        return self.values.tensor(pictures, image_input.layout, decimals=decimals)

    def _wait(self, get: Callable[[Outgoing], Incoming], url: str) -> None:
        """Asks until a readiness route says yes, or that it does not exist."""
        for seconds in (*PAUSES, None):  # some servers say 400 until they have loaded a model
            reply = get(Outgoing(url, method="GET"))
            if reply.status < 300 or reply.status in (404, 405, 501):
                return
            words = _words(reply)
            if reply.status in (401, 403) or "unknown model" in words:
                raise EndpointError(f"{url} answers {reply.status}: {words}.")
            if seconds is not None:
                self.pause(seconds)
        raise EndpointError(f"{self.urls.model} is not ready: {url} answers {reply.status}: {words}.")

    def _extensions(self, get: Callable[[Outgoing], Incoming]) -> list[object]:
        extensions = _body(get(Outgoing(self.urls.server, method="GET"))).get("extensions")
        return extensions if isinstance(extensions, list) else []

    def _check_repository(self, get: Callable[[Outgoing], Incoming]) -> None:
        """Looks the model up where Triton lists all: it calls an unknown one not ready, which one would wait for."""
        try:
            models = load_json(get(Outgoing(self.urls.repository)).body)
        except ValueError:
            return
        entries = models if isinstance(models, list) else []
        names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
        if names and self.urls.name not in names:
            known = ", ".join(map(str, names))
            raise EndpointError(f"{self.urls.server} has no model {self.urls.name!r}; it has: {known}.")

    def _metadata(self, get: Callable[[Outgoing], Incoming]) -> dict[str, Any]:
        reply = get(Outgoing(self.urls.model, method="GET"))
        body = _body(reply)
        if not body and self.input is None:
            raise EndpointError(f"{self.urls.model} answers {reply.status}: {_words(reply)}; is there such a model?")
        return body


def _body(reply: Incoming) -> dict[str, Any]:
    """Returns the JSON object of a reply to a question that may stay open; an empty one for anything else."""
    try:
        body = load_json(reply.body) if reply.status < 300 else None
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _words(reply: Incoming) -> str:
    return short(reply.body.decode("utf-8", "replace")) or "nothing"


def _max_batch(config: dict[str, Any]) -> int | None:
    largest = config.get("max_batch_size")
    return largest if type(largest) is int and largest > 0 else None
