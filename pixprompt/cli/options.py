"""What several commands share: options, and the one JSON object that `--json` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from .terminal import echo

__all__ = ["cascade_option", "device_option", "json_option", "print_json", "print_names", "print_result", "ray_option"]

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where the model runs: cpu, cuda, ...; auto takes a GPU where there is one.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on stdout.")
"""Passes `as_json: bool` to the command."""
ray_option = click.option("--ray", metavar="ADDRESS", help="Do the work on a Ray cluster; 'local' starts one here.")

cascade_option = click.option(
    "--no-cascade",
    "cascade",
    flag_value=False,
    default=True,
    help="Ask every image under all views of a committee, not only where the answer under the first one leaves doubt.",
)


def print_json(value: dict[str, Any]) -> None:
    """Prints one JSON object, in ASCII, so that it survives any terminal and file names that are not UTF-8."""
    click.echo(json.dumps(value, indent=2))


def print_result(value: dict[str, Any], lines: Iterable[str], as_json: bool) -> None:
    """Prints a result, as one JSON object or as its lines."""
    if as_json:
        print_json(value)
        return
    for line in lines:
        echo(line)


def print_names(lines: dict[str, str], as_json: bool) -> None:
    """Prints names and their lines, in two columns or as a JSON object."""
    width = max(map(len, lines), default=0)
    print_result(lines, (f"{name:{width}}  {line}".rstrip() for name, line in lines.items()), as_json)
