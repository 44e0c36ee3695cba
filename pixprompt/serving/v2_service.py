"""The routes of the Open Inference Protocol v2 and its refusals, as a function from request to response."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from ..core import (
    BudgetError,
    ConfigError,
    EndpointError,
    ImageError,
    LimitError,
    PixpromptError,
    RangeError,
)
from ..remote.protocols.v2.reply import LENGTH_HEADER
from .messages import Request, RequestError, Response, json_response, read_json
from .outputs import Output, outputs_response, read_output_options
from .tensors import InputTensor, read_input

__all__ = ["V2Service", "check_method", "json_length", "served_name"]

_VERSION = "1"
_EXTENSIONS = ("binary_tensor_data", "classification")
_STATUSES: dict[type[PixpromptError], int] = {
    RangeError: 400,
    ImageError: 400,
    BudgetError: 503,
    LimitError: 503,
    EndpointError: 502,
}
"""Statuses of errors about a request, or about the model behind; 500 for all others."""
_log = logging.getLogger(__name__)


class V2Service(ABC):
    """Answers requests about one model; knows no socket.

    Args:
        name: Name of the model in paths; see `served_name`.
        max_bytes: The longest request; the images that it holds may not be larger when decoded.

    Attributes:
        output_names: Names of its outputs.
        has_classes: Whether its numbers belong to classes, the best of which may be asked for.

    Raises:
        ConfigError: The name would need quoting in a path.
    """

    output_names: tuple[str, ...]
    has_classes = True

    def __init__(self, name: str, *, max_bytes: int, version: str) -> None:
        if served_name(name) != name:
            raise ConfigError(f"a served name has letters, digits, '.', '_' and '-' only, got {name!r}.")
        self.name, self.max_bytes = name, max_bytes
        self._get: dict[tuple[str, ...], Callable[[], dict[str, Any]]] = {
            (): lambda: {"name": "pixprompt", "version": version, "extensions": list(_EXTENSIONS)},
            ("health", "live"): lambda: {"live": True},
            ("health", "ready"): lambda: {"ready": True},
            ("models", name): self.metadata,
            ("models", name, "ready"): lambda: {"name": name, "ready": True},
        }

    def metadata(self) -> dict[str, Any]:
        """Describes the model as the protocol does; what the protocol has no word for stands under "parameters"."""
        return {"name": self.name, "versions": [_VERSION], "platform": "pixprompt", **self.tensors()}

    @abstractmethod
    def tensors(self) -> dict[str, Any]:
        """Describes "inputs" and "outputs"."""

    @abstractmethod
    def infer(self, tensor: InputTensor) -> list[Output]:
        """Answers images with all outputs of `output_names`.

        Raises:
            RequestError: The tensor is no batch of images that the model takes.
        """

    def respond(self, request: Request) -> Response:
        """Answers one request; what is wrong with it becomes a response with {"error": ...}, never an exception."""
        try:
            return self._routed(request)
        except RequestError as error:
            return error.response()
        except PixpromptError as error:
            status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
            return RequestError(status, str(error)).response()
        except Exception as error:
            _log.warning("a request failed with %s: %s", type(error).__name__, error)
            return RequestError(500, f"unexpected {type(error).__name__}; the server's log says more.").response()

    def _routed(self, request: Request) -> Response:
        parts = _parts(request.path)
        if parts[3:5] == ("versions", _VERSION):
            parts = (*parts[:3], *parts[5:])
        if parts[:1] != ("v2",) or (parts[1:] not in self._get and parts[1:] != ("models", self.name, "infer")):
            raise RequestError(404, f"nothing here; the model is at /v2/models/{self.name}, in version {_VERSION}.")
        allowed = ("GET", "HEAD") if parts[1:] in self._get else ("POST",)
        check_method(request, allowed)
        return json_response(self._get[parts[1:]]()) if "GET" in allowed else self._infer(request)

    def _infer(self, request: Request) -> Response:
        _check_content(request, ("application/json", "application/octet-stream"))
        length = json_length(request)
        content = read_json(request.body[:length])
        options = read_output_options(content, self.output_names)
        inputs, identity = content.get("inputs"), content.get("id")
        if not self.has_classes and any(wanted.classes is not None for wanted in options.values()):
            raise RequestError(
                400, "the model answers with embeddings, which have no classes; leave out classification."
            )
        if not isinstance(inputs, list) or len(inputs) != 1:
            raise RequestError(400, "inputs is a list of the one input 'images'.")
        if identity is not None and not isinstance(identity, str):
            raise RequestError(400, "id is a text.")
        outputs = self.infer(read_input(inputs[0], memoryview(request.body)[length:]))
        fields = {"model_name": self.name, "model_version": _VERSION} | ({} if identity is None else {"id": identity})
        return outputs_response(fields, outputs, options)


def served_name(name: str) -> str:
    """Returns the name of a model as one that needs no quoting in a path: runs of other characters become "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "model"


def check_method(request: Request, allowed: tuple[str, ...]) -> None:
    """Refuses other methods with 405."""
    if request.method not in allowed:
        raise RequestError(405, f"{request.method} is not possible here.", {"Allow": ", ".join(allowed)})


def _check_content(request: Request, kinds: tuple[str, ...]) -> None:
    """Refuses content of another type, and what is compressed, with 415."""
    kind = request.headers.get("content-type", kinds[0]).partition(";")[0].strip().lower()
    if kind not in kinds:
        raise RequestError(415, f"expected Content-Type: {' or '.join(kinds)}, got {kind[:60]!r}.")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestError(415, f"bodies are not unpacked; send it without Content-Encoding {coding[:60]!r}.")


def _parts(path: str) -> tuple[str, ...]:
    try:
        return tuple(unquote(part) for part in urlsplit(path).path.strip("/").split("/"))
    except ValueError as error:
        raise RequestError(400, "the path cannot be read.") from error


def json_length(request: Request) -> int:
    """Returns how many bytes of the body of a request are JSON.

    Raises:
        RequestError: The header that says so is wrong.
    """
    text = request.headers.get(LENGTH_HEADER.lower())
    if text is None:
        return len(request.body)
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > len(request.body):
        raise RequestError(400, f"{LENGTH_HEADER} is a number of bytes within the body, got {text[:60]!r}.")
    return int(text)
