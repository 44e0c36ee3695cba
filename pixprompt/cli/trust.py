"""`pixprompt trust` and `keys`: what run folders may name, and which variables of the environment are sent where."""

from __future__ import annotations

import click

from ..core import ConfigError
from ..remote.http.key_hosts import allow, allowed, forget
from .options import json_option, print_result

__all__ = ["keys", "trust"]


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
    names = words.trusted()
    print_result(names, ("  ".join(filter(None, (name, ", ".join(files)))) for name, files in names.items()), as_json)


@click.command()
@click.argument("variable", required=False)
@click.argument("url", required=False)
@click.option("--forget", "forgotten", is_flag=True, help="Take back what was said about VARIABLE.")
@json_option
def keys(variable: str | None, url: str | None, forgotten: bool, as_json: bool) -> None:
    """Allow that the environment variable VARIABLE is sent to the host of URL, or list what is allowed.

    An endpoint description that names its own host may send a variable only where that was allowed.
    """
    if forgotten and (variable is None or url is not None):
        raise ConfigError("--forget takes a variable and no URL: pixprompt keys VARIABLE --forget")
    if variable is not None and url is None and not forgotten:
        raise ConfigError(f"where may it be sent? pixprompt keys {variable} https://host")
    if forgotten and variable is not None:
        forget(variable)
    elif variable is not None and url is not None:
        allow(variable, url)
    hosts = allowed()
    lines = (f"{name}  may be sent to  {', '.join(origins)}" for name, origins in hosts.items())
    print_result(hosts, lines, as_json)
