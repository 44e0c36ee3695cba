"""`pixprompt keys`: which variables of the environment may be sent where."""

from __future__ import annotations

import click

from ..core import ConfigError
from ..remote.http.key_hosts import allow, allowed, forget
from .options import json_option, print_json
from .terminal import echo

__all__ = ["keys"]


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
    if as_json:
        print_json(hosts)
        return
    for name, origins in hosts.items():
        echo(f"{name}  may be sent to  {', '.join(origins)}")
