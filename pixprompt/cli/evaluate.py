"""`pixprompt evaluate` and `pixprompt predict`: a saved prompt with its model."""

from __future__ import annotations

import json
from typing import Any

import click

from ..engine import deploy
from ..engine import evaluate as score_prompt
from ..engine import predict as predict_images
from .allocator import keep_freed_memory
from .console import Console
from .options import json_option, print_json
from .train import format_ladder

__all__ = ["evaluate", "predict"]


@click.command()
@click.argument("source", metavar="PROMPT_OR_RUN")
@click.option("--model", help="Model to ask  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@click.option("--data", help="Data set to score on  [default: with a run directory, that of the run]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, ...")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@click.option("--price-per-1000", type=float, help="Price of 1000 queries, to report the cost.")
@json_option
def evaluate(source: str, as_json: bool, **options: Any) -> None:
    """Score a saved prompt, as re-read from its PNG, on the validation and test images of a data set."""
    keep_freed_memory()
    console = Console()
    try:
        result = score_prompt(source, reporter=console, **options)
    finally:
        console.close()
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(format_ladder(result))


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, readable=False))
@click.option("--model", help="Model to ask  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, ...")
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many classes to list for each image."
)
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@json_option
def predict(
    prompt: str,
    images: tuple[str, ...],
    model: str | None,
    weights: str | None,
    device: str,
    top: int,
    workers: int,
    as_json: bool,
) -> None:
    """Put a prompt on images, call the model, and print one JSON line per image, in order."""
    keep_freed_memory()
    deployed = deploy(prompt, model=model, weights=weights, device=device)
    lines, failed = [], 0
    for line in predict_images(deployed, list(images), top=top, workers=workers):
        failed += "error" in line
        if as_json:
            lines.append(line)
        else:
            click.echo(json.dumps(line, ensure_ascii=False))
    if as_json:
        print_json({"predictions": lines, "queries": deployed.model.images})
    if failed:
        raise click.ClickException(f"{failed} of the images could not be read; their lines say why.")
