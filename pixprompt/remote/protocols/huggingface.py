"""Image classification as Hugging Face's inference endpoints and `transformers` pipelines answer it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core import AnswerKind, ConfigError
from ...replies.parse import Reply
from ..messages import Incoming, ItemFault, Outgoing, Picture
from ..protocol import PROTOCOLS, Declared, Endpoint, Protocol
from .answers import garbled, named_scores, parse_json, raise_error, short
from .labels import MAX_LABELS, check_named, labels_option
from .options import check_keys, choice_option, text_option, whole_option

__all__ = ["HuggingFace", "HuggingFaceZeroShot", "read_labels", "with_parameters"]

_ALL = 10_000
"""More than any classifier has; the endpoint answers with as many classes as there are."""


@PROTOCOLS.register("huggingface")
class HuggingFace(Protocol):
    """Hugging Face image classification: base64 in JSON, a list of labels with scores back.

    Options: `top_k`, the number of classes in an answer, by default all; `function`, what is applied to the logits:
    "softmax", "sigmoid" or "none", by default what the endpoint prefers.

    Raises:
        ConfigError: An option is unknown or of the wrong kind.
    """

    max_batch = 1

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        options = endpoint.options
        check_keys(options, ("top_k", "function"), "protocol huggingface")
        top_k = whole_option(options, "top_k") or len(endpoint.labels or ()) or _ALL
        function = choice_option(options, "function", ("none", "softmax", "sigmoid"))
        self._logits = function == "none"
        self._parameters: dict[str, Any] = {"top_k": top_k}
        if function is not None:
            self._parameters["function_to_apply"] = function

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Asks nothing: with the labels known, `function` says what the answers will be."""
        return Declared(answer=AnswerKind.LOGITS if self._logits and self.endpoint.labels else None)

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one image."""
        return with_parameters(self.endpoint.url, pictures[0].content, self._parameters)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads the labels of one image; their order is for the reader of the answers to choose."""
        return [read_labels(incoming, add_up=not self._logits and not self.endpoint.labels)]

    def facts(self) -> dict[str, Any]:
        """Adds the parameters that are sent: their defaults depend on the labels."""
        return {**super().facts(), "parameters": self._parameters}


def with_parameters(url: str, content: bytes, parameters: Mapping[str, Any]) -> Outgoing:
    """Makes a request of one image file in base64 with parameters."""
    body = {"inputs": b64encode(content).decode("ascii"), "parameters": dict(parameters)}
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return Outgoing(url, json.dumps(body).encode(), headers)


def read_labels(incoming: Incoming, *, add_up: bool = False) -> dict[str, float]:
    """Reads [{"label", "score"}, ...] of one image, also where a list per image is around it.

    Args:
        add_up: Whether the scores of a label that comes twice add up, as those of two classes of one name do.

    Raises:
        Fault: It is something else, or it says that the endpoint failed.
    """
    body = parse_json(incoming)
    raise_error(body, incoming)
    items = body[0] if isinstance(body, list) and len(body) == 1 and isinstance(body[0], list) else body
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise garbled(f"expected a list of labels with scores, got {short(body)}", incoming)
    return named_scores(((item.get("label"), item.get("score")) for item in items), incoming, add_up=add_up)


@PROTOCOLS.register("huggingface-zero-shot")
class HuggingFaceZeroShot(Protocol):
    """Hugging Face zero-shot classification: an image and candidate labels, a score for each label back.

    Options: `labels`, the candidates, by default those of the endpoint, or what a run names; `max_labels`, the most of
    them that the endpoint takes; `hypothesis_template`, a sentence in which {} stands for a label.

    Raises:
        ConfigError: There are fewer than two labels, or an option is unknown or of the wrong kind.
    """

    max_batch = 1

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        check_keys(endpoint.options, ("labels", "max_labels", "hypothesis_template"), f"protocol {endpoint.protocol}")
        self._labels = labels_option(endpoint)
        self.max_labels = whole_option(endpoint.options, "max_labels") or MAX_LABELS
        self._parameters: dict[str, Any] = {"candidate_labels": list(self._labels)}
        template = text_option(endpoint.options, "hypothesis_template")
        if template is not None:
            if "{}" not in template:
                raise ConfigError(f"expected {{}} in hypothesis_template, where the label goes, got {template!r}.")
            self._parameters["hypothesis_template"] = template

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Asks nothing: the labels are those that are sent along."""
        return Declared(num_outputs=len(self._labels) or None, labels=self._labels or None)

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one image."""
        check_named(self._labels, self.endpoint)
        return with_parameters(self.endpoint.url, pictures[0].content, self._parameters)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads the labels of one image, in whatever order they come."""
        labels = read_labels(incoming)
        strange = [label for label in labels if label not in self._labels]
        if strange:
            raise garbled(f"the answer names {short(strange[0])!r}, which was no candidate", incoming)
        missing = [label for label in self._labels if label not in labels]
        if missing:
            raise garbled(f"the answer leaves out {short(missing[0])!r}, which was a candidate", incoming)
        return [labels]

    def facts(self) -> dict[str, Any]:
        """Adds the parameters that are sent: the labels may be those of the endpoint."""
        return {**super().facts(), "parameters": self._parameters}
