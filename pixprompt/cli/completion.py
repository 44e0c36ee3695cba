"""What the shell offers behind an option that takes a name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

__all__ = ["complete"]

_REGISTRIES = {
    "model": "models:MODELS",
    "surrogate": "models:MODELS",
    "data": "data:DATASETS",
    "template": "templates:TEMPLATES",
    "method": "adapters:METHODS",
    "output": "outputs:OUTPUTS",
    "optimizer": "optimizers:OPTIMIZERS optimizers:QUERY_OPTIMIZERS",
    "protocol": "remote.protocols:PROTOCOLS",
}
"""Options in Python's spelling -> the registries of their names, below this package's parent."""


def complete(
    name: str,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """Returns what completes the values of an option; None where they are no names of a registry."""
    places = _REGISTRIES.get(name)
    if places is None:
        return None

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        lines: dict[str, str] = {}
        for place in places.split():
            module, _, attribute = place.partition(":")
            lines |= getattr(importlib.import_module(f"...{module}", __name__), attribute).describe()
        return [CompletionItem(each, help=line) for each, line in sorted(lines.items()) if each.startswith(incomplete)]

    return offer
