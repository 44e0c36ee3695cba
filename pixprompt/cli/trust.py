"""`pixprompt trust`: which code, hub repositories and places run folders may name."""

from __future__ import annotations

import click

from ..core import ConfigError
from .options import json_option, print_json
from .terminal import echo

__all__ = ["trust"]


@click.command()
@click.argument("model", required=False)
@click.option("--forget", "forgotten", is_flag=True, help="Take back what was said about MODEL.")
@json_option
def trust(model: str | None, forgotten: bool, as_json: bool) -> None:
    """Allow that run folders name MODEL, or list what is allowed.

    Needed once for python:module:attribute, models of a hub and URLs in a run folder that was made elsewhere; what you
    have trained with is allowed already.
    """
    from ..engine.inputs import trust as words

    if forgotten and model is None:
        raise ConfigError("--forget takes a model: pixprompt trust MODEL --forget")
    if model is not None and forgotten:
        words.distrust(model)
    elif model is not None:
        words.trust(model)
    allowed = words.trusted()
    if as_json:
        print_json(allowed)
        return
    for name, files in allowed.items():
        echo("  ".join(part for part in (name, ", ".join(files)) if part))
