"""What the commands that ask a model share: how one behind a URL is called, and what to do about answers in doubt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from ..core import DoubtError
from ..engine.config.presets import affordable
from ..engine.inputs.opening import LEDGER, QUERIES, Calls
from ..ledger.ledger import DURABILITIES

__all__ = ["call_options", "calls_of", "settled"]

T = TypeVar("T")
_NAMES = tuple(item.name for item in fields(Calls) if item.name not in ("budget", "price_per_1000"))
_BUDGET = click.option(
    "--budget",
    type=click.IntRange(0),
    help=f"Queries that this call may ask of a model behind a URL.  [default: {QUERIES}]",
)
_OPTIONS = (
    click.option("--protocol", help="Of a model behind a URL; see 'pixprompt protocols'."),
    click.option("--endpoint", help="Description of a model behind a URL: a ready one's name, or a JSON file."),
    click.option("--endpoint-options", help="Of the description or the protocol: name=value,name=value."),
    click.option("--encoding", type=click.Choice(["png", "jpeg"]), help="How images are sent to a URL."),
    click.option("--concurrency", type=click.IntRange(1), help="Requests to a URL under way at the same time."),
    click.option("--rate", type=click.FloatRange(0, min_open=True), help="Most images per second sent to a URL."),
    click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds that one request may take."),
    click.option("--deadline", type=click.FloatRange(0, min_open=True), help="Seconds for a request with retries."),
    click.option("--in-doubt", type=click.Choice(["ask", "retry", "skip"]), help="What to do about unknown answers."),
    click.option(
        "--durability", type=click.Choice(DURABILITIES), help="What queries outlive: a power cut (full), a kill (os)."
    ),
    click.option(
        "--ledger",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"Where queries to a URL are written.  [default: that of the run, else {LEDGER}]",
    ),
    click.option("--max-requests", type=click.IntRange(0), help="Requests to a URL that this call may send."),
    click.option("--max-cost", type=click.FloatRange(0), help="The budget as money, with --price-per-1000."),
)
"""Of every command but `train`, whose options are the fields of TrainConfig."""


def call_options(command: Callable[..., Any], *, with_budget: bool = True) -> Callable[..., Any]:
    """Adds the options of `Calls` to a command."""
    for option in reversed((*_OPTIONS, _BUDGET) if with_budget else _OPTIONS):
        command = option(command)
    return command


def calls_of(options: dict[str, Any], *, budget: int | None, price_per_1000: float | None) -> Calls:
    """Takes the options of `call_options` out of those of a command.

    Raises:
        ConfigError: Money is limited, but a query has no price.
    """
    max_cost = options.pop("max_cost")
    limits = [limit for limit in (budget, affordable(max_cost, price_per_1000)) if limit is not None]
    values = {name: options.pop(name) for name in _NAMES}
    return Calls(**values, budget=min(limits, default=None), price_per_1000=price_per_1000)


def settled(work: Callable[[str | None], T], policy: str | None) -> T:
    """Does something; where answers are in doubt and a person is there, asks what to do about them.

    Args:
        work: Takes the policy.
        policy: What was given on the command line.

    Raises:
        DoubtError: Nobody is there to ask, or that person wants to stop.
    """
    try:
        return work(policy)
    except DoubtError as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        click.echo(str(error), err=True)
        chosen = click.prompt("retry, skip or stop", type=click.Choice(["retry", "skip", "stop"]), err=True)
        if chosen == "stop":
            raise
        return work(chosen)
