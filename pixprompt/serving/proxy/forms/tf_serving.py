"""The REST interface of TensorFlow Serving: rows, columns and examples, with image files or numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ....remote.messages import Incoming
from ....remote.protocol import Endpoint
from ....remote.protocols.tf_serving import TFServing
from ....replies.parse import Reply
from ...messages import Request, Response, json_response
from ..prompter import UnknownForm
from .form import Form, JsonText, Prompted, Shares, from_base64, path_of, to_base64

__all__ = ["TFServingForm"]

_PATH = re.compile(r"(?:^|.*/)v1/models/[^/:]+(?:/(?:versions|labels)/[^/:]+)?:(?:predict|classify)/?")


class TFServingForm(Form):
    """Every image is prompted: each {"b64": ...}, and numbers of the shape (H, W, 3), (3, H, W), or several of them."""

    name = "tf-serving"

    def matches(self, request: Request) -> bool:
        """By its path."""
        return _PATH.fullmatch(path_of(request)) is not None

    def prompt(self, request: Request) -> Prompted:
        """Replaces image files and numbers."""
        message = JsonText(self.prompter, request.body)
        fields = [name for name in ("instances", "inputs", "examples") if name in message.value]
        if len(fields) != 1:
            raise UnknownForm('expected "instances", "inputs" or "examples"')
        message.value[fields[0]] = self._prompted(message, message.value[fields[0]])
        if not message.digests:
            raise UnknownForm("no image was found in the request")
        return Prompted(message.encode(), tuple(message.digests))

    def read(self, request: Request, incoming: Incoming, count: int) -> Sequence[Reply | None]:
        """Reads predictions, outputs or classes."""
        options: dict[str, Any] = {"format": "column"} if _is_column(request) else {}
        options |= {"output": self.options.output} if self.options.output else {}
        endpoint = Endpoint(f"http://host{path_of(request).rstrip('/')}", "tf-serving", options=options)
        rows = TFServing(endpoint).read(incoming, count)
        return [reply if isinstance(reply, str | dict | np.ndarray) else None for reply in rows]

    def write(self, request: Request, incoming: Incoming, shares: Shares, classes: Sequence[str]) -> Response:
        """Returns probabilities as rows or as a column, or as pairs with their labels for `:classify`."""
        rows, names = shares.tolist(), list(classes)
        if path_of(request).rstrip("/").endswith(":classify"):
            pairs = [sorted(zip(names, row, strict=True), key=lambda pair: -pair[1]) for row in rows]
            return json_response({"results": pairs})
        return json_response({"outputs" if _is_column(request) else "predictions": rows, "labels": names})

    def _prompted(self, message: JsonText, value: Any, name: str | None = None) -> Any:
        """Returns a value with all images in it prompted."""
        if isinstance(value, dict) and set(value) == {"b64"}:
            is_input = self.options.input in (None, name)
            return {"b64": to_base64(message.file(from_base64(value["b64"])))} if is_input else value
        if isinstance(value, dict):
            return {key: self._prompted(message, item, key) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        images = _as_images(value) if self.options.input in (None, name) else None
        if images is None:
            return value if _leaf(value) is not None else [self._prompted(message, item, name) for item in value]
        layout = "NCHW" if images.shape[-3] == 3 and images.shape[-1] != 3 else "NHWC"
        batch = images.reshape(-1, *images.shape[-3:])
        pixels = message.pixels(batch.transpose(0, 2, 3, 1) if layout == "NCHW" else batch)
        whole = images.dtype.kind in "iu"
        return message.numbers(pixels, layout, whole=whole, nested=True, alone=images.ndim == 3)


def _is_column(request: Request) -> bool:
    message: object = json.loads(request.body)
    return isinstance(message, dict) and "inputs" in message


def _as_images(values: list[Any]) -> npt.NDArray[Any] | None:
    """Returns nested lists as images, (H, W, 3), (3, H, W), or several of these; None where they are none."""
    if _leaf(values) is None:
        return None
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        return None
    if array.dtype.kind not in "iuf" or array.ndim not in (3, 4) or 3 not in (array.shape[-1], array.shape[-3]):
        return None
    return array if min(array.shape) > 0 else None


def _leaf(values: Any) -> int | float | None:
    """Returns the first number within nested lists."""
    while isinstance(values, list):
        values = values[0] if values else None
    return values if isinstance(values, int | float) and not isinstance(values, bool) else None
