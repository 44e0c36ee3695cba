"""Hugging Face image classification: an image file as the body, or in base64 within JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ....remote.messages import Incoming
from ....remote.protocols.huggingface import read_labels, with_parameters
from ....replies.parse import Reply
from ...messages import Request, Response
from ..prompter import UnknownForm
from .form import Form, JsonText, Prompted, Shares, from_base64, to_base64

__all__ = ["HuggingFaceForm"]


class HuggingFaceForm(Form):
    """A body that is an image file, or {"inputs": image in base64}; by any path, since each model has its own."""

    name = "huggingface"

    def matches(self, request: Request) -> bool:
        """Where no other form says so by its path."""
        return True

    def prompt(self, request: Request) -> Prompted:
        """Replaces the image."""
        if request.body[:1] != b"{":
            return self._prompt_body(request.body)
        message = JsonText(self.prompter, request.body)
        inputs = message.value.get("inputs")
        if isinstance(inputs, dict) and "image" in inputs:
            inputs["image"] = to_base64(message.file(from_base64(inputs["image"])))
        else:
            message.value["inputs"] = to_base64(message.file(from_base64(inputs)))
        if self.options.num_labels is not None:
            parameters = message.value.setdefault("parameters", {})
            if not isinstance(parameters, dict):
                raise UnknownForm("parameters is an object")
            parameters["top_k"] = self.options.num_labels
        return Prompted(message.encode(), tuple(message.digests))

    def read(self, request: Request, incoming: Incoming, count: int) -> Sequence[Reply | None]:
        """Reads the labels."""
        return [read_labels(incoming)] if count == 1 else [None] * count

    def write(self, request: Request, incoming: Incoming, shares: Shares, classes: Sequence[str]) -> Response:
        """Returns the classes with their probabilities, the likeliest first."""
        pairs = sorted(zip(classes, shares[0].tolist(), strict=True), key=lambda pair: -pair[1])
        body = json.dumps([{"label": label, "score": score} for label, score in pairs]).encode()
        return Response(200, body, {"Content-Type": "application/json"})

    def _prompt_body(self, content: bytes) -> Prompted:
        prompted = self.prompter.file(content)
        digests = (hashlib.sha256(prompted).digest(),)
        if self.options.num_labels is None:
            return Prompted(prompted, digests, {"Content-Type": self.prompter.media_type})
        # An image as the body has no place for a wish, and without one the likeliest five labels come.
        outgoing = with_parameters("", prompted, {"top_k": self.options.num_labels})
        return Prompted(outgoing.body, digests, outgoing.headers)
