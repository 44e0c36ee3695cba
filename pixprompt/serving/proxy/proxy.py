"""A proxy on a socket: one prompt, one server behind, one ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from ...core import ConfigError
from ...prompt import Committee
from ...remote.http.upstream import Upstream
from ..http_server import HttpServer
from ..intake import Intake
from ..limits import Limits
from .answer_map import AnswerMap
from .app import ProxyApp
from .exchange import Route
from .forms import FORMS, FormOptions
from .prompter import Prompter
from .record import Record

__all__ = ["Proxy", "ProxyOptions"]


@dataclass(frozen=True)
class ProxyOptions:
    """How a proxy works.

    Attributes:
        ledger: Where requests with images are written; None for memory.
        strict: Whether what is not understood is refused; else it passes unchanged.
        map_answers: Whether answers become those of the prompt's classes.
        encoding: What image files are sent as: "png" or "jpeg".
        value_range: Range of images that are decimal numbers: "unit", "byte", or a mean and a standard deviation.
        input: Name of the tensor that holds the images, where a request has several.
        output: Name of the tensor that holds the scores, where a reply has several.
        timeout: Seconds without a byte from the server behind.
        max_bytes: The longest request.
    """

    ledger: Path | None = None
    strict: bool = False
    map_answers: bool = False
    encoding: str = "png"
    value_range: object = "unit"
    input: str | None = None
    output: str | None = None
    timeout: float = 120.0
    max_bytes: int = 64_000_000
    limits: Limits = field(default_factory=Limits)


class Proxy(HttpServer):
    """Prompts the images inside the requests of clients and forwards them, while a `with` block runs.

    Args:
        prompt: A single prompt.
        url: URL of the server behind; the paths of requests are added to it.
        host: An address of this machine; 127.0.0.1 is not reachable from others.
        port: 0 for any free one.

    Attributes:
        num_in_doubt: Requests that the ledger holds of an earlier proxy that was killed while they were under way.

    Raises:
        ConfigError: The URL cannot be used, or the prompt is a committee.
        PixpromptError: The ledger cannot be used.
    """

    def __init__(
        self,
        prompt: Committee,
        url: str,
        options: ProxyOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        options = options or ProxyOptions()
        if len(prompt.pages) > 1:
            raise ConfigError(
                f"a committee asks {len(prompt.pages)} times about each image, which no request of a client can; "
                "serve it with: pixprompt serve PROMPT --model URL"
            )
        answer_map = AnswerMap(prompt.output) if options.map_answers else None
        num_labels = None if answer_map is None else answer_map.num_labels
        prompter = Prompter(prompt.pages[0], encoding=options.encoding, value_range=options.value_range)
        form_options = FormOptions(options.input, options.output, options.strict, num_labels)
        forms = [form(prompter, form_options) for form in FORMS]
        upstream = Upstream(url, connections=options.limits.requests, timeout=options.timeout)
        digest = hashlib.sha256(prompt.rgba.tobytes()).hexdigest()
        record = Record(options.ledger, url, digest, at_once=options.limits.requests)
        self.num_in_doubt = record.num_in_doubt
        route = Route(upstream, record, answer_map, options.strict)
        super().__init__(
            lambda: ProxyApp(forms, route, Intake(options.limits, options.max_bytes, host, chunked=True)),
            host=host,
            port=port,
            limits=options.limits,
        )
