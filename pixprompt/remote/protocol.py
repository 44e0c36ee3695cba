"""What a protocol is: how images become a request, and a reply becomes answers. One file per protocol beside this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..core import AnswerKind
from ..registry import Registry
from ..replies.parse import Reply
from .http.secrets import check_options, open_headers
from .messages import Incoming, ItemFault, Outgoing, Picture

__all__ = ["PAUSES", "PROTOCOLS", "Declared", "Endpoint", "Protocol"]

PAUSES = (0.1, 0.2, 0.5, 1.0, *[2.0] * 29)
"""Seconds between requests for readiness, a minute in all."""


@dataclass(frozen=True)
class Endpoint:
    """What is known about a remote model before it is queried; in JSON, the description file of `--endpoint`.

    Attributes:
        url: Where the model is.
        protocol: A name of PROTOCOLS.
        encoding: "png" or "jpeg": what image files are sent as.
        headers: Sent along; `${NAME}` stands for a variable of the environment and is filled in when sending.
        image_size: (height, width) of the images that it takes; None for what it declares, else 224 x 224.
        labels: Names of its outputs, in order, if known.
        answer: What its numbers are, if known.
        max_batch: The most images per request; None for what the protocol allows.
    """

    url: str
    protocol: str
    encoding: str = "png"
    headers: Mapping[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    labels: tuple[str, ...] | None = None
    answer: AnswerKind | None = None
    max_batch: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What an endpoint says about itself without a query; None where it says nothing."""

    image_size: tuple[int, int] | None = None
    num_outputs: int | None = None
    labels: tuple[str, ...] | None = None
    answer: AnswerKind | None = None
    max_batch: int | None = None


class Protocol(ABC):
    """Speaks one protocol with one endpoint; knows no network, no retry, no ledger.

    Attributes:
        max_batch: The most images per request that the protocol itself allows; None for any number.
        sends_files: Whether images go out as files (`Picture.content`) or as numbers (`Picture.pixels`).
        max_labels: Labels of the caller's choice that one request may name; 0 where the labels are the endpoint's own.

    Raises:
        ConfigError: The endpoint's options make no sense for this protocol, or hold a credential.
    """

    max_batch: int | None = None
    sends_files: bool = True
    max_labels: int = 0

    def __init__(self, endpoint: Endpoint) -> None:
        check_options(endpoint.options)
        self.endpoint = endpoint

    def with_labels(self, labels: Sequence[str]) -> Self:
        """Returns a protocol that asks about these labels instead; see `max_labels`."""
        options = {name: value for name, value in self.endpoint.options.items() if name != "labels"}
        return type(self)(replace(self.endpoint, labels=tuple(labels), options=options))

    def discover(self, get: Callable[[Outgoing], Incoming]) -> Declared:
        """Asks what costs nothing (metadata, readiness), until the endpoint is ready; by default nothing.

        Args:
            get: Sends a GET, and polls while the endpoint is not there yet; returns replies of any status.

        Raises:
            EndpointError: The endpoint says that it has no such model.
        """
        return Declared()

    @abstractmethod
    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        """Makes the request for one batch."""

    @abstractmethod
    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        """Reads a reply of status 2xx: one answer per image, in the order in which they were sent.

        Args:
            count: Number of images of the request.

        Raises:
            Fault: GARBLED if it cannot be read, or what the body says where errors come with status 200.
        """

    def facts(self) -> dict[str, Any]:
        """Returns what, besides the image, its answers depend on, for the key of the ledger; plain JSON.

        Headers may choose what answers. Those with a variable of the environment are left out: they say who asks, and
        another name of the variable does not make another question.
        """
        end, headers = self.endpoint, open_headers(self.endpoint.headers)
        facts: dict[str, Any] = {"protocol": end.protocol, "url": end.url, "options": dict(end.options)}
        return {**facts, "headers": headers} if headers else facts


PROTOCOLS: Registry[type[Protocol]] = Registry("protocol")
