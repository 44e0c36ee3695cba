"""What the commands that ask a model share: how one behind a URL is called, and what to do about answers in doubt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from ..core import DoubtError
from ..engine.config.groups import EndpointSettings
from ..engine.config.presets import affordable
from ..engine.inputs.opening import LEDGER, QUERIES, Calls
from ..settings import flag

__all__ = ["call_options", "calls_of", "with_policy"]

T = TypeVar("T")
Command: TypeAlias = Callable[..., Any]
_NAMES = tuple(item.name for item in fields(Calls) if item.name != "budget")
_BUDGET = click.option(
    "--budget",
    type=click.IntRange(0),
    help=f"Queries that this call may ask of a model behind a URL.  [default: {QUERIES}]",
)


def _option(name: str, item: Field[Any]) -> Callable[[Command], Command]:
    metadata, low = item.metadata, item.metadata["low"]
    ranges = {"int": click.IntRange(low), "float": click.FloatRange(low, min_open=True)}
    kind = click.Choice(metadata["choices"]) if metadata["choices"] else ranges.get(str(item.type).split(" ")[0])
    return click.option(flag(name), type=kind, help=metadata["help"])


_OPTIONS = (
    *(_option(name, item) for name, item in EndpointSettings.options().items()),
    click.option(
        "--ledger",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"Where queries to a URL are written.  [default: that of the run, else {LEDGER}]",
    ),
    click.option("--max-cost", type=click.FloatRange(0), help="The budget as money, with --price-per-1000."),
    click.option("--price-per-1000", type=float, help="Price of 1000 queries, to report or limit the cost."),
)
"""Of every command but `train`, whose options are the fields of TrainConfig."""


def call_options(command: Command, *, with_budget: bool = True) -> Command:
    """Adds the options of `Calls` to a command."""
    for option in reversed((*_OPTIONS, _BUDGET) if with_budget else _OPTIONS):
        command = option(command)
    return command


def calls_of(options: dict[str, Any], *, budget: int | None) -> Calls:
    """Takes the options of `call_options` out of those of a command.

    Raises:
        ConfigError: Money is limited, but a query has no price; or an amount is none.
    """
    calls = Calls(**{name: options.pop(name) for name in _NAMES})
    limits = (budget, affordable(options.pop("max_cost"), calls.price_per_1000))
    return replace(calls, budget=min((limit for limit in limits if limit is not None), default=None))


def with_policy(work: Callable[[str | None], T], policy: str | None) -> T:
    """Does something; where answers are in doubt and a person is there, asks what to do about them.

    Args:
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
