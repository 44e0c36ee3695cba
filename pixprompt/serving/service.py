"""A model behind the Open Inference Protocol v2, as a function from request to response."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import AnswerKind, ConfigError, Model, PixpromptError, RangeError
from ..ledger import OpenVocabulary
from ..tensor_checks import check_images
from .messages import HEADER_LENGTH, Request, RequestError, Response, json_response, read_json
from .outputs import outputs_response, read_output_options
from .tensors import decode_images, read_input

__all__ = ["Service", "served_name"]

_VERSION = "1"
_BATCH = 64
"""Images that the model is asked at once."""
_log = logging.getLogger(__name__)


class Service:
    """Answers requests about one model; knows no socket.

    Embeddings of a dual encoder are served as they are, and `metadata` says so: a caller needs the text side itself.

    Args:
        model: Any model with a fixed number of outputs.
        name: Of the model in paths; see `served_name`.
        answer: LOGITS or PROBABILITIES; None for what the model answers.
        device: Where the model is.
        max_bytes: Of a request; the images that it holds may not be larger when decoded.
        version: Of the program.
        delay: Seconds to wait before each answer, to play an endpoint far away.
        sleep: Waits.

    Raises:
        ConfigError: The model's answers cannot be served, or not in that form.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: str | None = None,
        answer: AnswerKind | None = None,
        device: str = "cpu",
        max_bytes: int = 64_000_000,
        version: str = "",
        delay: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model, self.device, self.max_bytes = model, device, max_bytes
        self.name = served_name(model.spec.name) if name is None else _valid(name)
        self.answer = _served_answer(model, answer)
        self._delay, self._sleep = delay, sleep
        self._get: dict[tuple[str, ...], Callable[[], dict[str, Any]]] = {
            (): lambda: {"name": "pixprompt", "version": version, "extensions": list(_EXTENSIONS)},
            ("health", "live"): lambda: {"live": True},
            ("health", "ready"): lambda: {"ready": True},
            ("models", self.name): self.metadata,
            ("models", self.name, "ready"): lambda: {"name": self.name, "ready": True},
        }

    def respond(self, request: Request) -> Response:
        """Answers one request; what is wrong with it becomes a response with {"error": ...}, never an exception."""
        try:
            return self._routed(request)
        except RequestError as error:
            return error.response()
        except PixpromptError as error:
            return RequestError(400 if isinstance(error, RangeError) else 500, str(error)).response()
        except Exception as error:
            _log.warning("a request failed with %s: %s", type(error).__name__, error)
            return RequestError(500, f"unexpected {type(error).__name__}; the server's log says more.").response()

    def metadata(self) -> dict[str, Any]:
        """Describes the model as the protocol does; what the protocol has no word for stands under "parameters".

        "inputs" lists the one tensor that a request holds, in the form that is preferred. Its parameters `FP32` and
        `BYTES` name the other forms that the same tensor may have.
        """
        spec = self.model.spec
        height, width = spec.image_size
        input_parameters = {
            "UINT8": f"[-1,{height},{width},3]: RGB pixels, 0 to 255",
            "FP32": f"[-1,3,{height},{width}]: RGB values in [0, 1], not normalised",
            "BYTES": f"[-1]: PNG or JPEG files of {height}x{width} pixels (height x width), in JSON as base64",
            "max_images": self._max_images,
        }
        output_parameters: dict[str, Any] = {"answer": str(self.answer)}
        if spec.labels is not None:
            output_parameters["labels"] = json.dumps(spec.labels)  # parameters are texts, numbers and booleans only
        return {
            "name": self.name,
            "versions": [_VERSION],
            "platform": "pixprompt",
            "inputs": [
                {"name": "images", "datatype": "UINT8", "shape": [-1, height, width, 3], "parameters": input_parameters}
            ],
            "outputs": [
                {
                    "name": "outputs",
                    "datatype": "FP32",
                    "shape": [-1, spec.num_outputs],
                    "parameters": output_parameters,
                }
            ],
        }

    @property
    def _max_images(self) -> int:
        return max(1, self.max_bytes // (3 * math.prod(self.model.spec.image_size)))

    def _routed(self, request: Request) -> Response:
        parts = _parts(request.path)
        if parts[3:5] == ("versions", _VERSION):
            parts = (*parts[:3], *parts[5:])
        if parts[:1] != ("v2",) or (parts[1:] not in self._get and parts[1:] != ("models", self.name, "infer")):
            raise RequestError(404, f"nothing here; the model is at /v2/models/{self.name}, in version {_VERSION}.")
        allowed = ("GET", "HEAD") if parts[1:] in self._get else ("POST",)
        if request.method not in allowed:
            raise RequestError(405, f"{request.method} is not possible here.", {"Allow": ", ".join(allowed)})
        return json_response(self._get[parts[1:]]()) if "GET" in allowed else self._infer(request)

    def _infer(self, request: Request) -> Response:
        _check_content(request)
        length = _json_length(request)
        content = read_json(request.body[:length])
        options, inputs, identity = read_output_options(content), content.get("inputs"), content.get("id")
        if options.classes is not None and self.answer is AnswerKind.EMBEDDINGS:
            raise RequestError(
                400, "the model answers with embeddings, which have no classes; leave out classification."
            )
        if not isinstance(inputs, list) or len(inputs) != 1:
            raise RequestError(400, "inputs is a list of the one input 'images'.")
        if identity is not None and not isinstance(identity, str):
            raise RequestError(400, "id is a text.")
        tensor = read_input(inputs[0], memoryview(request.body)[length:])
        rows = self._rows(decode_images(tensor, self.model.spec.image_size, self._max_images))
        fields = {"model_name": self.name, "model_version": _VERSION} | ({} if identity is None else {"id": identity})
        return outputs_response(fields, rows, options, self.model.spec.labels)

    def _rows(self, images: Tensor) -> npt.NDArray[np.float32]:
        if images.is_floating_point():
            check_images(images, self.model.spec.image_size)
        if self._delay:
            self._sleep(self._delay)
        with torch.no_grad():
            rows = torch.cat([self.model(self._ready(part)).float().cpu() for part in torch.split(images, _BATCH)])
            if self.answer is AnswerKind.PROBABILITIES and self.model.spec.answer is AnswerKind.LOGITS:
                rows = rows.softmax(1)
        return np.asarray(rows.numpy())

    def _ready(self, part: Tensor) -> Tensor:
        part = part.to(self.device)
        return part if part.is_floating_point() else part.float() / 255


def served_name(name: str) -> str:
    """Returns the name of a model as one that needs no quoting in a path: runs of other characters become "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "model"


_EXTENSIONS = ("binary_tensor_data", "classification")


def _valid(name: str) -> str:
    if served_name(name) != name:
        raise ConfigError(f"a served name has letters, digits, '.', '_' and '-' only, got {name!r}.")
    return name


def _served_answer(model: Model, wanted: AnswerKind | None) -> AnswerKind:
    spec = model.spec
    if isinstance(model, OpenVocabulary) and model.open:
        raise ConfigError(
            f"model {spec.name!r} finds its labels as it answers, so its outputs have no fixed number; "
            "give the callable an attribute `labels`."
        )
    possible = {spec.answer} | ({AnswerKind.PROBABILITIES} if spec.answer is AnswerKind.LOGITS else set())
    if wanted is not None and wanted not in possible:
        raise ConfigError(f"model {spec.name!r} answers with {spec.answer}, which cannot be turned into {wanted}.")
    return wanted or spec.answer


def _parts(path: str) -> tuple[str, ...]:
    try:
        return tuple(unquote(part) for part in urlsplit(path).path.strip("/").split("/"))
    except ValueError as error:
        raise RequestError(400, "the path cannot be read.") from error


def _check_content(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/octet-stream"):
        raise RequestError(
            415, f"expected Content-Type: application/json or application/octet-stream, got {kind[:60]!r}."
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestError(415, f"bodies are not unpacked; send it without Content-Encoding {coding[:60]!r}.")


def _json_length(request: Request) -> int:
    text = request.headers.get(HEADER_LENGTH.lower())
    if text is None:
        return len(request.body)
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > len(request.body):
        raise RequestError(400, f"{HEADER_LENGTH} is a number of bytes within the body, got {text[:60]!r}.")
    return int(text)
