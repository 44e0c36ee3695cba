"""Endpoints that answer in JSON and are described by a file: what to send, and where the answers are."""

from __future__ import annotations

from collections.abc import Sequence

from ....core import ConfigError
from ....replies.parse import Reply
from ...messages import Incoming, ItemFault, Outgoing, Picture
from ...protocol import PROTOCOLS, Endpoint, Protocol
from ..answers import parse_json
from ..options import check_keys
from .answers import ANSWER_OPTIONS, Answers
from .body import BODY_OPTIONS, Body

__all__ = ["DescribedJson"]


@PROTOCOLS.register("json")
class DescribedJson(Protocol):
    """Any endpoint that answers in JSON, described by a file.

    Options: those of `Body` and `Answers`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        check_keys(endpoint.options, (*BODY_OPTIONS, *ANSWER_OPTIONS), "protocol 'json'")
        self.body = Body(endpoint.options)
        self.answers = Answers(endpoint.options)
        if self.body.batches and self.answers.images is None:
            raise ConfigError("option 'body' has {\"$each\": ...}; say by option 'images' where each answer is.")
        self.max_batch = None if self.body.batches else 1

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one batch, or for one image where the description knows no batches."""
        content, content_type = self.body.make(pictures)
        return Outgoing(self.endpoint.url, content, {"Content-Type": content_type})

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads the answers where the description says that they are.

        Raises:
            Fault: What the body says, or GARBLED if it cannot be read.
        """
        return self.answers.read(parse_json(incoming), count, incoming)
