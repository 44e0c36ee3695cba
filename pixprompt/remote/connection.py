"""From a URL to a model: what its description says, what the endpoint declares, and how it is called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..core import EndpointError
from ..urls import plain_url
from .calls.clock import Clock
from .calls.rate_limit import RateLimit
from .calls.retry import RetryPolicy, Sender
from .endpoint_file import read_endpoint
from .http.transport import Transport
from .messages import Fault, FaultKind, Incoming, Outgoing
from .model import RemoteModel, largest_batch
from .protocols import PROTOCOLS

__all__ = ["connect", "getter"]

_PAUSES = (0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)
"""Seconds between attempts to reach an endpoint that is not there yet, ten in all."""


def connect(
    url: str | None,
    *,
    name: str | None = None,
    protocol: str | None = None,
    endpoint: str | None = None,
    options: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    concurrency: int = 4,
    rate: float | None = None,
    timeout: float = 60.0,
    deadline: float = 600.0,
    clock: Clock | None = None,
) -> RemoteModel:
    """Returns the model behind a URL; asks it nothing that costs.

    Args:
        url: Where it is; None for where the description says.
        name: What the user typed; None for the URL.
        protocol: A name of PROTOCOLS; None for what the description or the URL says.
        endpoint: A ready description's name, or a file.
        options: Options of the protocol, or values that fill the URL; they win over those of the description.
        encoding: "png" or "jpeg"; None for what the description says, else "png".
        concurrency: Connections that are kept open.
        rate: Images per second; None for no limit until the endpoint complains.
        timeout: Seconds for one request.
        deadline: Seconds for a request with all its retries.

    Raises:
        ConfigError: An argument makes no sense, or a key stands where it would be written down.
        EndpointError: There is no such model, or nobody answers.
    """
    target = read_endpoint(url, endpoint, protocol=protocol, encoding=encoding, options=options)
    speaker = PROTOCOLS[target.protocol](target)
    transport = Transport(target.headers, concurrency=concurrency)
    declared = speaker.discover(getter(transport, target.url, timeout=timeout, clock=clock))
    return RemoteModel(
        name or url or target.url,
        speaker,
        transport,
        declared,
        rate_limit=RateLimit(rate, largest_batch(speaker, declared), clock=clock),
        retry_policy=RetryPolicy(timeout=timeout, deadline=deadline),
        clock=clock,
    )


def getter(sender: Sender, url: str, *, timeout: float, clock: Clock | None = None) -> Callable[[Outgoing], Incoming]:
    """Returns what sends a GET, waiting a while for an endpoint that cannot be reached yet.

    Args:
        url: URL of the endpoint, for messages.
        timeout: Seconds for one request.
    """
    clock, never = clock or Clock(), threading.Event()

    def get(outgoing: Outgoing) -> Incoming:
        pauses = iter(_PAUSES)
        while True:
            try:
                return sender.send(outgoing, timeout=timeout)
            except Fault as fault:
                pause = next(pauses, None)
                if pause is None or fault.kind not in (FaultKind.UNSENT, FaultKind.LOST):
                    raise EndpointError(
                        f"{plain_url(url)} cannot be asked about its model: {fault.reason.rstrip('.')}. "
                        "Check the address, and whether the endpoint is up."
                    ) from None
            clock.wait(pause, never)

    return get
