"""What the commands that listen on a port share: their options, warnings, and how they end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["listen_options", "until_stopped", "warn_of_others"]

_OPTIONS = (
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        help="Port to listen on; 0 takes a free one.",
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to listen on."),
    click.option(
        "--max-request-mb",
        type=click.IntRange(min=1),
        default=64,
        show_default=True,
        help="Largest request, in 10^6 bytes.",
    ),
    click.option(
        "--max-requests-at-once",
        type=click.IntRange(min=1),
        default=64,
        show_default=True,
        help="Requests worked on at the same time; more are answered with 503.",
    ),
)


def listen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--port`, `--host` and the limits to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def warn_of_others(host: str, what: str) -> None:
    """Warns where others than this machine may connect."""
    from ...serving.intake import is_loopback

    if not is_loopback(host):
        click.echo(
            f"warning: listening on {host}: everyone who can reach this machine can use {what}, without a password.",
            err=True,
        )


@contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """Within, SIGTERM sets the event instead of ending the process."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)
