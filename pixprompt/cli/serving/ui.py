"""`pixprompt ui`: a local page that shows runs, follows them, and puts prompts on images."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..allocator import keep_freed_memory
from ..options import device_option, json_option
from .listening import until_stopped

__all__ = ["ui"]


@click.command()
@click.argument("folder", metavar="[RUNS_FOLDER]", default="runs", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8420,
    show_default=True,
    help="Port of this machine to listen on; 0 takes a free one.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser, too; its command line shows the link.")
@device_option
@json_option
def ui(folder: Path, port: int, opens: bool, device: str, as_json: bool) -> None:
    """Show the runs below RUNS_FOLDER (runs by default) on a local page, until Ctrl-C or SIGTERM.

    Drop an image on a prompt and see its canvas, the prompted image, and the answers before and after where the model
    is on this machine; browse and compare runs, follow one as it learns, read ledgers. Each panel says the command
    line that does the same.

    One line on stdout is the link. Only this machine can open it, with the token in it; the page writes nothing, asks
    no model that may be paid for, and loads nothing from a network.
    """
    from ...ui import UiServer

    keep_freed_memory()
    with until_stopped() as stopped, UiServer(folder, port=port, device=device) as server:
        facts = {"url": server.url, "port": server.port, "folder": str(folder)}
        click.echo(json.dumps(facts) if as_json else f"{folder} at {server.url}")
        if opens:
            click.launch(server.url)
        stopped.wait()
