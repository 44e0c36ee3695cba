"""`pixprompt serve`: a local model as an endpoint of the Open Inference Protocol v2."""

from __future__ import annotations

import ipaddress
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ...core import AnswerKind
from ...version import __version__
from ..allocator import keep_freed_memory
from ..options import json_option

if TYPE_CHECKING:
    from ...serving import Server

__all__ = ["serve"]


@click.command()
@click.option("--model", required=True, help="Model to serve.")
@click.option("--weights", help="Weights file for the model.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to listen on.")
@click.option(
    "--max-request-mb",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Largest request, in 10^6 bytes.",
)
@click.option("--name", help="Name of the model in the address.  [default: made of --model]")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where the model runs: cpu, cuda, ...; auto takes a GPU where there is one.",
)
@click.option(
    "--answer",
    type=click.Choice(["logits", "probabilities"]),
    help="What to answer with.  [default: as the model does]",
)
@click.option(
    "--delay-ms", type=click.IntRange(min=0), default=0, show_default=True, help="Wait before each answer, for demos."
)
@json_option
def serve(
    model: str,
    weights: str | None,
    port: int,
    host: str,
    max_request_mb: int,
    name: str | None,
    device: str,
    answer: str | None,
    delay_ms: int,
    as_json: bool,
) -> None:
    """Serve a local model over HTTP with the Open Inference Protocol v2, until Ctrl-C or SIGTERM.

    One line on stdout says where, as soon as it answers. There is no password: whoever reaches the port can use it.
    """
    from ...engine.parts import pick_device
    from ...models import load_model
    from ...serving import Server, Service

    keep_freed_memory()
    place = pick_device(device)
    service = Service(
        load_model(model, weights=weights, device=place),
        name=name,
        answer=None if answer is None else AnswerKind(answer),
        device=place,
        max_bytes=max_request_mb * 1_000_000,
        version=__version__,
        delay=delay_ms / 1000,
    )
    if service.answer is AnswerKind.EMBEDDINGS:
        click.echo(
            f"note: {model} answers with image embeddings; a caller needs its text encoder to get labels.", err=True
        )
    if not _is_loopback(host):
        click.echo(
            f"warning: listening on {host}: everyone who can reach this machine can use the model, without a password.",
            err=True,
        )
    with _heard() as stopped, Server(service, host=host, port=port) as server:
        click.echo(_ready_line(server, as_json))
        stopped.wait()


def _ready_line(server: Server, as_json: bool) -> str:
    service = server.service
    if not as_json:
        return f"serving {service.name} at {server.url}"
    spec = service.model.spec
    says = {"url": server.url, "host": server.host, "port": server.port, "name": service.name, "model": spec.name}
    size = {"image_size": list(spec.image_size), "num_outputs": spec.num_outputs, "answer": str(service.answer)}
    return json.dumps({**says, **size})  # one line, so that a reader of the pipe knows where it ends


@contextmanager
def _heard() -> Iterator[threading.Event]:
    """Within, SIGTERM sets the event instead of ending the process."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
