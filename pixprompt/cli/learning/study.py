"""`pixprompt study`: the same run with one setting varied."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ...core import ConfigError
from ...engine.config.train_config import TrainConfig
from ...study import KINDS
from ..allocator import keep_freed_memory
from ..console import Console
from ..options import json_option, print_result
from ..own_code import load_named
from ..settings import RunCommand, config_options

__all__ = ["study"]


@click.command(cls=RunCommand)
@click.argument("kind", metavar="|".join(KINDS), type=click.Choice(KINDS))
@click.option("--values", help="What is varied, separated by ';', or a file with one per line.  [default: the study's]")
@config_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the study; continued where it holds a part.")
@json_option
def study(kind: str, values: str | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Run a study: vary one setting, keep all others, write results.jsonl, table.md and plot.png.

    \b
    text       what a prompt gains under good and bad texts
    mapping    the sources kept, swapped among the classes, or random
    templates  all of about the same number of learned numbers
    sizes      of one template

    All other settings are those of `pixprompt train`. A study that was stopped continues with the same command.
    """
    from ...study.run import study as run, table

    load_named(options)
    config = TrainConfig().with_values(**{name: value for name, value in options.items() if value is not None})
    folder = out or Path("studies") / "-".join((kind, datetime.now().strftime("%Y%m%d-%H%M%S")))
    keep_freed_memory()
    try:
        with Console() as console:
            lines = run(kind, config, out=folder, values=_read_values(values), reporter=console)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; continue with the same command and --out {folder}") from None
    files = (("results", "results.jsonl"), ("table", "table.md"), ("plot", "plot.png"))
    written = (f"{name:9}{folder / file}" for name, file in files)
    print_result({"schema": 1, "study": kind, "out": str(folder), "runs": lines}, [table(lines), "", *written], as_json)


def _read_values(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    try:
        lines = Path(text).read_text("utf-8").splitlines() if os.path.isfile(text) else text.split(";")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--values {text!r} cannot be read ({error}).") from error
    values = tuple(value.strip() for value in lines if value.strip())
    if not values:
        raise ConfigError(f"--values {text!r} names nothing to vary.")
    return values
