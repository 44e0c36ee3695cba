"""`pixprompt watch`: whether the model behind a prompt is still the one that it was."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...core import DataError
from ...files.images import walk
from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, with_policy
from ..options import json_option, print_json
from ..terminal import echo

if TYPE_CHECKING:
    from ...watch import Round, Watch

__all__ = ["CHANGED", "watch"]

CHANGED = 6
"""The exit code of an alarm."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _read_seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    seconds = math.inf if match is None else float(match[1]) * _UNITS[match[2] or "s"]
    if seconds > threading.TIMEOUT_MAX:
        raise click.BadParameter(f"expected a time such as 30s, 10m, 1h or 1d, got {text!r}.")
    return seconds


@click.command()
@click.argument("source", metavar="PROMPT_OR_RUN")
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--model", help="Model to watch.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@click.option("--device", default="auto", show_default=True, help="Where a local model runs: cpu, cuda, ...")
@click.option(
    "--num",
    type=click.IntRange(8),
    default=32,
    show_default=True,
    help="Images that are asked about in each round; of more, evenly spaced ones.",
)
@click.option("--every", default="1h", show_default=True, callback=_read_seconds, help="From one round to the next.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of this call.  [default: until an alarm or Ctrl-C]")
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("pixprompt-watch.json"),
    show_default=True,
    help="File with the answers of the beginning; made where it is missing.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Probability that an unchanged model ever gives an alarm, over all rounds together.",
)
@call_options
@json_option
def watch(
    source: str,
    images: tuple[Path, ...],
    model: str | None,
    weights: str | None,
    device: str,
    num: int,
    every: float,
    rounds: int | None,
    baseline: Path,
    alpha: float,
    budget: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Ask a model about the same few IMAGES on a schedule, and give an alarm when its answers have changed.

    At the beginning every image is asked about twice; the difference is the noise of the endpoint. Each round asks
    once, and a sign test says whether the answers lie farther from the first ones than noise does. The exit code of an
    alarm is 6, that of a budget which has no room for another round 3.
    """
    from ...engine.saved.deploy import deploy
    from ...watch import Watch

    keep_freed_memory()
    calls, canaries = calls_of(options, budget=budget), _canaries(images, num)
    deployed = with_policy(
        lambda policy: deploy(
            source, model=model, weights=weights, device=device, calls=replace(calls, in_doubt=policy)
        ),
        calls.in_doubt,
    )
    rounds_run: list[dict[str, Any]] = []
    with deployed:
        known = baseline.exists()
        running = Watch(deployed, canaries, baseline, alpha=alpha)
        if not known:
            echo(f"baseline of {running.num_images} images written to {baseline}", err=as_json)
        for each in _rounds(running, every, rounds):
            rounds_run.append(each.to_json())
            echo(_line(each), err=as_json)
    if as_json:
        print_json({"rounds": rounds_run, "alarm": any(each["alarm"] for each in rounds_run)})
    return CHANGED if any(each["alarm"] for each in rounds_run) else 0


def _rounds(watch: Watch, every: float, rounds: int | None) -> Iterator[Round]:
    """Yields rounds up to the first alarm."""
    for index in count() if rounds is None else range(rounds):
        if index:
            threading.Event().wait(every)
        outcome = watch.ask()
        yield outcome
        if outcome.alarm:
            return


def _line(checked: Round) -> str:
    drift, start = checked.comparison, "ALARM: the model has changed. " if checked.alarm else ""
    return (
        f"{start}round {checked.number}: {drift.num_changed} of {drift.num_images} answers changed, distance "
        f"{drift.distance:.4f} (noise {drift.noise:.4f}), p = {drift.p_value:.2g}, alarm below {checked.level:.2g}"
    )


def _canaries(paths: tuple[Path, ...], num: int) -> list[Path]:
    """Returns image files, evenly spaced among those that there are."""
    files: list[Path] = []
    for path in paths:
        files += walk(path, on_error=_refuse) if path.is_dir() else [path]
    return [files[index * len(files) // num] for index in range(num)] if len(files) > num else files


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot list {error.filename}: {error.strerror}.")
