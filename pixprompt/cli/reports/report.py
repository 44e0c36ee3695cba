"""`pixprompt report`: one HTML page about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..allocator import keep_freed_memory
from ..console import Console
from ..options import device_option, json_option, print_json

__all__ = ["report"]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option("--out", default="report.html", show_default=True, type=click.Path(), help="The page to write.")
@click.option("--model", help="Model to query.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@device_option
@click.option("--images", type=click.IntRange(min=1), default=300, show_default=True, help="Most test images to query.")
@click.option(
    "--queries",
    type=click.IntRange(min=0),
    help="Most queries to spend; models that only answer are queried only with it.",
)
@click.option("--no-model", is_flag=True, help="Query no model; show what the files hold.")
@json_option
def report(
    runs: tuple[str, ...],
    out: str,
    no_model: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write one self-contained HTML page about one or several run directories."""
    from ...report import ReportOptions, write_report

    keep_freed_memory()
    with Console() as console:
        chosen = ReportOptions(**options, use_model=not no_model)
        page = write_report(runs, out=out, options=chosen, reporter=console)
    if as_json:
        print_json(
            {
                "out": str(Path(page.path).absolute()),
                "bytes": page.num_bytes,
                "runs": list(page.runs),
                "queries": page.queries,
                "skipped": page.skipped,
            }
        )
        return
    click.echo(f"report   {page.path} ({page.num_bytes / 2**20:.1f} MiB, {page.queries} queries)")
    for run, reasons in page.skipped.items():
        for what, reason in reasons.items():
            click.echo(f"{run}: no {what}: {reason}", err=True)
