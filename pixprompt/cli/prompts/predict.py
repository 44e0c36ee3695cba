"""`pixprompt predict`: a saved prompt with its model, on images without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...stores import Location, StoreFile
from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, with_policy
from ..console import Console
from ..options import cascade_option, device_option, json_option, print_json, ray_option
from ..terminal import echo, json_line
from .lines import Lines
from .locations import LocationType
from .pipes import read_records, reads_pipe

if TYPE_CHECKING:
    from ...engine import Deployed

__all__ = ["predict"]


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, required=True, type=LocationType(exists=True, readable=False, allow_dash=True))
@click.option("--model", help="Model to ask.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@device_option
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many classes to list for each image."
)
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@cascade_option
@click.option("--no-prompt", is_flag=True, help="Leave the prompt out, to see what it changes.")
@click.option(
    "--student-first",
    is_flag=True,
    help="Let the student of a run answer where it is sure, and ask the model the rest.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the lines, instead of stdout.")
@click.option("--resume", is_flag=True, help="Go on after the lines that an earlier call has written to --out.")
@ray_option
@call_options
@json_option
def predict(
    prompt: str,
    images: tuple[str | Location, ...],
    model: str | None,
    weights: str | None,
    device: str,
    top: int,
    workers: int,
    budget: int | None,
    as_json: bool,
    cascade: bool,
    student_first: bool,
    no_prompt: bool,
    out: Path | None,
    resume: bool,
    ray: str | None,
    **options: Any,
) -> None:
    """Put a prompt on images, call the model, and print one JSON line per image, in order.

    Images may lie in a store that fsspec reaches: s3://, gs://, hf:// and others. What a model behind a URL has
    answered is kept in a ledger: after an interruption the same command goes on. With any model, --out FILE --resume
    does. With --ray each process of the cluster loads a local model; one behind a URL is asked from here alone.

    With - as the only input, an image comes on stdin, or JSON lines, each with a "path" or an "image" in base64;
    whatever else stands in a line comes back in that of its answer.
    """
    from ...engine.saved.deploy import deploy

    inputs = [image.url if isinstance(image, StoreFile) else str(image) for image in images]
    piped = reads_pipe(tuple(inputs))
    lines = _lines(out, inputs, piped=piped, resume=resume, ray=ray)
    keep_freed_memory()
    calls = calls_of(options, budget=budget)

    def load(policy: str | None = None) -> Deployed:
        deployed = deploy(
            prompt,
            model=model,
            weights=weights,
            device=device,
            calls=replace(calls, in_doubt=policy),
            cascade=cascade,
            student_first=student_first,
        )
        return deployed.without_prompt() if no_prompt else deployed

    deployed = with_policy(load, calls.in_doubt)
    try:
        predictions = (
            _predictions_of_pipe(deployed, top, workers)
            if piped
            else _predictions(deployed, inputs, load, ray, top=top, workers=workers, start=lines.count)
        )
        _print(deployed, predictions, lines, as_json)
    finally:
        deployed.close()


def _predictions(
    deployed: Deployed, inputs: list[str], load: Callable[[], Deployed], ray: str | None, **options: int
) -> Iterator[dict[str, Any]]:
    from ...engine.saved.predict import predict, predict_on_cluster

    if ray is not None:
        return predict_on_cluster(ray, load, deployed, inputs, **options)
    return predict(deployed, inputs, **options, reporter=Console())


def _lines(out: Path | None, inputs: list[str], *, piped: bool, resume: bool, ray: str | None) -> Lines:
    if (resume and out is None) or (piped and out is not None):
        raise click.UsageError("--resume goes with --out, and --out with files and folders.")
    if piped and ray is not None:
        raise click.UsageError("--ray goes with files and folders, not with a pipe.")
    return Lines(out, inputs, resume=resume)


def _predictions_of_pipe(deployed: Deployed, top: int, workers: int) -> Iterator[dict[str, Any]]:
    from ...engine.saved.predict import predict_each

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for records in read_records(deployed.model.chunk):
            lines = predict_each(deployed, [record.open for record in records], pool, top=top)
            yield from ({**record.fields, **line} for record, line in zip(records, lines, strict=True))


def _print(deployed: Deployed, predictions: Iterator[dict[str, Any]], out: Lines, as_json: bool) -> None:
    lines, failed = [], 0
    with out:
        for line in predictions:
            failed += "error" in line
            if out.path is not None:
                out.write(line)
            elif as_json:
                lines.append(line)
            else:
                click.echo(json_line(line))
    for note in deployed.model.notes:
        echo(note, err=True)
    if out.path is not None and not as_json:
        click.echo(f"{out.count} lines in {out.path}")
    if as_json:
        summary = {"predictions": lines} if out.path is None else {"lines": out.count, "out": str(out.path)}
        print_json({**summary, "queries": deployed.model.queries})
    if failed:
        raise click.ClickException(f"{failed} of the images could not be read or answered; their lines say why.")
