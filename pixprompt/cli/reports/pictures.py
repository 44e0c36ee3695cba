"""`pixprompt pictures`: what methods that learn inside a model see, side by side."""

from __future__ import annotations

from typing import Any

import click

from ..allocator import keep_freed_memory
from ..console import Console
from ..options import device_option, json_option, print_json

__all__ = ["pictures"]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option("--out", required=True, type=click.Path(), help="Folder of the pictures; new or empty.")
@click.option("--model", help="Model to look into.  [default: the one that the runs were learned in]")
@click.option("--weights", help="Weights file for the model.")
@device_option
@click.option("--images", type=click.IntRange(min=1), default=4, show_default=True, help="Test images, one per row.")
@click.option("--points", type=click.IntRange(min=1), default=500, show_default=True, help="Most points in the plane.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the rows, arranges the points.")
@click.option(
    "--layer", type=click.IntRange(min=0), help="Layer of the comparison with a map of prompts.  [default: the last]"
)
@json_option
def pictures(runs: tuple[str, ...], out: str, as_json: bool, **options: Any) -> None:
    """Draw what runs inside one model learned, side by side.

    \b
    tsne.png        features of the test images in the plane, and how well classes cluster
    gradcam.png     where each run looks in a few test images
    similarity.png  of runs with a map of prompts: which prompts are like a salient token
    """
    from ...report.figures.draw import PictureOptions, draw_pictures

    keep_freed_memory()
    with Console() as console:
        drawn = draw_pictures(runs, out=out, options=PictureOptions(**options), reporter=console)
    if as_json:
        print_json(drawn.to_json())
        return
    for name in drawn.files:
        click.echo(f"{name:<15} {drawn.out / name}")
    for title, value in drawn.silhouettes.items():
        click.echo(f"silhouette      {'not defined' if value is None else f'{value:.3f}':<12} {title}")
    for title, layers in drawn.alignment.items():
        for alignment in layers:
            line = f"margin {alignment.margin:+.3f}, percentile {alignment.percentile:.3f}"
            click.echo(f"alignment       layer {alignment.layer}: {line}, {title}")
    for name, reason in drawn.skipped.items():
        click.echo(f"no {name}: {reason}", err=True)
