"""`pixprompt evaluate` and `pixprompt predict`: a saved prompt with its model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, settled
from ..console import Console
from ..learning.train import format_ladder
from ..options import device_option, json_option, print_json
from ..terminal import echo, json_line
from .pipes import read_records, reads_pipe

if TYPE_CHECKING:
    from ...engine import Deployed

__all__ = ["evaluate", "predict"]

_cascade_option = click.option(
    "--no-cascade",
    "cascade",
    flag_value=False,
    default=True,
    help="Ask every image under all views of a committee, not only where the answer under the first one leaves doubt.",
)


@click.command()
@click.argument("source", metavar="PROMPT_OR_RUN")
@click.option("--model", help="Model to ask.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@click.option("--data", help="Data set to score on.  [default: with a run directory, that of the run]")
@device_option
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@click.option("--price-per-1000", type=float, help="Price of 1000 queries, to report the cost.")
@_cascade_option
@call_options
@json_option
def evaluate(source: str, budget: int | None, as_json: bool, **options: Any) -> None:
    """Score a saved prompt, as re-read from its PNG, on the validation and test images of a data set.

    Of a model behind a URL only what the ledger does not hold is asked.
    """
    from ...engine.saved.evaluate import evaluate as score_prompt

    keep_freed_memory()
    calls, console = calls_of(options, budget=budget, price_per_1000=options["price_per_1000"]), Console()
    try:
        result = settled(
            lambda policy: score_prompt(source, reporter=console, calls=replace(calls, in_doubt=policy), **options),
            calls.in_doubt,
        )
    finally:
        console.close()
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(format_ladder(result))


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, readable=False, allow_dash=True))
@click.option("--model", help="Model to ask.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@device_option
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many classes to list for each image."
)
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@click.option("--price-per-1000", type=float, help="Price of 1000 queries, for --max-cost.")
@_cascade_option
@click.option("--no-prompt", is_flag=True, help="Leave the prompt out, to see what it changes.")
@click.option(
    "--student-first",
    is_flag=True,
    help="Let the student of a run answer where it is sure, and ask the model the rest.",
)
@call_options
@json_option
def predict(
    prompt: str,
    images: tuple[str, ...],
    model: str | None,
    weights: str | None,
    device: str,
    top: int,
    workers: int,
    price_per_1000: float | None,
    budget: int | None,
    as_json: bool,
    cascade: bool,
    student_first: bool,
    no_prompt: bool,
    **options: Any,
) -> None:
    """Put a prompt on images, call the model, and print one JSON line per image, in order.

    What a model behind a URL has answered is kept in a ledger: after an interruption the same command goes on.

    With - as the only input, an image comes on stdin, or JSON lines, each with a "path" or an "image" in base64;
    whatever else stands in a line comes back in that of its answer.
    """
    from ...engine.saved.deploy import deploy

    piped = reads_pipe(images)
    keep_freed_memory()
    calls = calls_of(options, budget=budget, price_per_1000=price_per_1000)
    deployed = settled(
        lambda policy: deploy(
            prompt,
            model=model,
            weights=weights,
            device=device,
            calls=replace(calls, in_doubt=policy),
            cascade=cascade,
            student_first=student_first,
        ),
        calls.in_doubt,
    )
    if no_prompt:
        deployed = deployed.without_prompt()
    try:
        lines = _predictions_of_pipe(deployed, top, workers) if piped else _predictions(deployed, images, top, workers)
        _print(deployed, lines, as_json)
    finally:
        deployed.close()


def _predictions(deployed: Deployed, images: tuple[str, ...], top: int, workers: int) -> Iterator[dict[str, Any]]:
    from ...engine.saved.predict import predict as predict_images

    yield from predict_images(deployed, list(images), top=top, workers=workers, reporter=Console())


def _predictions_of_pipe(deployed: Deployed, top: int, workers: int) -> Iterator[dict[str, Any]]:
    from ...engine.saved.predict import predict_each

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for records in read_records(deployed.model.chunk):
            lines = predict_each(deployed, [record.open for record in records], pool, top=top)
            yield from ({**record.fields, **line} for record, line in zip(records, lines, strict=True))


def _print(deployed: Deployed, found: Iterator[dict[str, Any]], as_json: bool) -> None:
    lines, failed = [], 0
    for line in found:
        failed += "error" in line
        if as_json:
            lines.append(line)
        else:
            click.echo(json_line(line))
    for note in deployed.model.notes:
        echo(note, err=True)
    if as_json:
        print_json({"predictions": lines, "queries": deployed.model.queries})
    if failed:
        raise click.ClickException(f"{failed} of the images could not be read or answered; their lines say why.")
