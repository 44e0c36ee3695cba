"""Zero-shot image classification as Hugging Face's endpoints answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core import ConfigError
from ...replies.parse import Reply
from ..messages import Incoming, ItemFault, Outgoing, Picture
from ..protocol import PROTOCOLS, Declared, Endpoint, Protocol
from .answers import garbled, short
from .huggingface import read_labels, with_parameters
from .labels import labels_option
from .options import check_keys, text_option

__all__ = ["HuggingFaceZeroShot"]


@PROTOCOLS.register("huggingface-zero-shot")
class HuggingFaceZeroShot(Protocol):
    """Hugging Face zero-shot classification: an image and candidate labels, a score for each label back.

    Options: `labels`, the candidates, by default those of the endpoint; `hypothesis_template`, a sentence in which {}
    stands for a label.

    Args:
        endpoint: Where and how.

    Raises:
        ConfigError: There are fewer than two labels, or an option is unknown or of the wrong kind.
    """

    max_batch = 1

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        check_keys(endpoint.options, ("labels", "hypothesis_template"), "protocol huggingface-zero-shot")
        self._labels = labels_option(endpoint)
        self._parameters: dict[str, Any] = {"candidate_labels": list(self._labels)}
        template = text_option(endpoint.options, "hypothesis_template")
        if template is not None:
            if "{}" not in template:
                raise ConfigError(f"expected {{}} in hypothesis_template, where the label goes, got {template!r}.")
            self._parameters["hypothesis_template"] = template

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Asks nothing: the labels are those that are sent along."""
        return Declared(num_outputs=len(self._labels), labels=self._labels)

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one image."""
        return with_parameters(self.endpoint.url, pictures[0], self._parameters)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads the labels of one image, in whatever order they come."""
        found = read_labels(incoming)
        strange = [label for label in found if label not in self._labels]
        if strange:
            raise garbled(f"the answer names {short(strange[0])!r}, which was no candidate", incoming)
        return [found]

    def facts(self) -> dict[str, Any]:
        """Adds the parameters that are sent: the labels may be those of the endpoint."""
        return {**super().facts(), "parameters": self._parameters}
