"""`pixprompt segment`: a label for every pixel, by a frozen vision transformer with prompts."""

from __future__ import annotations

import dataclasses
import io
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from PIL import Image

from ...bulk.jobs import find_jobs
from ...core import ConfigError, ImageError
from ...engine.config.settings_file import read_settings
from ...engine.config.train_config import default_folder
from ...segmentation import SegmentConfig
from ...stores import open_at, write_at
from ..allocator import keep_freed_memory
from ..console import Console
from ..options import json_option, print_json, print_result

__all__ = ["segment"]

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str}
_LABELS, _OVERLAY = "-labels.png", "-overlay.png"


class _Progress(Console):
    """Lines of history with the scores of a segmentation."""

    def epoch(self, line: Mapping[str, float]) -> None:
        """Writes a line of history."""
        self.note(
            f"epoch {line['epoch']:.0f}: train loss {line['train_loss']:.3f}, pixel accuracy "
            f"{line['train_accuracy']:.3f}; val mIoU {line['val_miou']:.3f}, pixel accuracy "
            f"{line['val_accuracy']:.3f}; {line['seconds']:.0f} s"
        )


def _config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds one option per field of SegmentConfig, in the order of the fields."""
    for item in reversed(dataclasses.fields(SegmentConfig)):
        kind, choices = str(item.type).split(" ")[0], item.metadata["choices"]
        name = item.name.replace("_", "-")
        default = "" if item.default in (None, "") else f"  [default: {str(item.default).lower()}]"
        command = click.option(
            f"--{name}/--no-{name}" if kind == "bool" else f"--{name}",
            item.name,
            type=None if kind == "bool" else click.Choice(choices) if choices else _TYPES[kind],
            default=None,
            help=item.metadata["help"] + default,
        )(command)
    return command


def _backbone_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, text in (
        (
            "--device",
            "Where the model runs: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.  [default: auto]",
        ),
        ("--weights", "Weights file of the backbone, where the run's own has moved."),
        ("--model", "Backbone, instead of the run's own; it must have the same weights."),
    ):
        command = click.option(name, help=text)(command)
    return command


@click.group()
def segment() -> None:
    """Label every pixel: a frozen vision transformer, prompt tokens, and a SETR-PUP head."""


@segment.command()
@_config_options
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Start from a file of settings: TOML, YAML or JSON, such as the config.json of a run.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/<model>-<data>-<method>-<time>]"
)
@click.option("--resume", type=click.Path(path_type=Path), help="Continue the run in this directory.")
@json_option
def train(config_file: Path | None, out: Path | None, resume: Path | None, as_json: bool, **options: Any) -> None:
    """Learn prompts and a head on images that are labelled pixel by pixel.

    The epoch with the best mIoU on a part of the training images is kept. The validation images of the data set are
    scored once, at the end.
    """
    from ...engine.inputs.trust import check_trusted
    from ...segmentation import train as run

    chosen = {name: value for name, value in options.items() if value is not None}
    if resume is not None and (chosen or config_file or out):
        raise ConfigError("--resume continues a run as it was configured; it takes no other option.")
    config = (_read(config_file) if config_file else SegmentConfig()).with_values(**chosen)
    if config_file:
        check_trusted(dataclasses.asdict(config), config_file, except_for=chosen)
    keep_freed_memory()
    folder = resume or out or default_folder(config.model, config.data, config.method, config.seed)
    try:
        with _Progress() as console:
            result = run(config, out=folder, resume=resume is not None, reporter=console)
    except KeyboardInterrupt:
        if not (folder / "config.json").exists():
            raise
        again = f"pixprompt segment train --resume {shlex.quote(str(folder))}"
        raise KeyboardInterrupt(f"interrupted; continue with: {again}") from None
    if as_json:
        print_json(result)
        return
    counts, best = result["parameters"], result["best"]
    click.echo(f"kept      epoch {best['epoch']}, val mIoU {best['val_miou']:.3f}")
    click.echo(_table(result["test"]))
    click.echo(
        f"tuned     {counts['inner']} inside and {counts['head']} in the head, {100 * counts['share']:.2f}% of the "
        f"backbone's {counts['backbone']}"
    )
    for name, file in (("adapter", "adapter.safetensors"), ("result", "result.json")):
        click.echo(f"{name:9} {folder / file}")


@segment.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", help="Labelled images: ade20k:PATH with the same classes.  [default: the run's own]")
@_backbone_options
@click.option("--multi-scale", is_flag=True, help="With six scales and mirrored, too; 30 to 40 times the work.")
@json_option
def evaluate(run_folder: Path, as_json: bool, device: str | None, **options: Any) -> None:
    """Score the adapter of RUN on the validation images of a data set."""
    from ...segmentation import evaluate as score

    with _Progress() as console:
        result = score(run_folder, device=device or "auto", reporter=console, **options)
    print_result(result, [_table(result["test"])], as_json)


@segment.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option(
    "--opacity", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the overlay's colours."
)
@_backbone_options
@click.option("--multi-scale", is_flag=True, help="With six scales and mirrored; slower, and a little better.")
@json_option
@click.pass_context
def predict(
    context: click.Context,
    /,
    run_folder: Path,
    inputs: tuple[Path, ...],
    out: Path,
    opacity: float,
    multi_scale: bool,
    as_json: bool,
    model: str | None,
    weights: str | None,
    device: str | None,
) -> None:
    """Label images, files or folders, with the adapter of RUN.

    Writes for each NAME-labels.png, a palette PNG whose values are the labels of annotation files, and
    NAME-overlay.png, the image with the labels' colours. An image that cannot be read is named and left out; the exit
    code is then 1.
    """
    from ...engine.inputs.devices import pick_device
    from ...segmentation import load_segmenter, make_windows
    from ...segmentation.pictures import label_picture, overlay

    place = pick_device(device or "auto")
    saved = load_segmenter(run_folder, model=model, weights=weights, device=place)
    windows = make_windows(saved, place, multi_scale=multi_scale)
    jobs = find_jobs(inputs, out, _LABELS, keep=run_folder)
    overlays = find_jobs(inputs, out, _OVERLAY, keep=run_folder)
    failed = [{"path": str(failure.path), "reason": failure.reason} for failure in jobs.failures]
    for job, other in zip(jobs, overlays, strict=True):
        try:
            image = open_at(job.source)
        except ImageError as error:
            failed.append({"path": str(job.source), "reason": str(error)})
            continue
        picture = label_picture(windows.labels(image).numpy(), reduce_zero_label=saved.reduce_zero_label)
        write_at(job.targets[0], _encoded(picture))
        write_at(other.targets[0], _encoded(overlay(image, picture, opacity=opacity)))
    num_written = len(jobs) + len(jobs.failures) - len(failed)
    if as_json:
        print_json({"written": num_written, "failed": failed, "out": str(out), "classes": list(saved.classes)})
    else:
        click.echo(f"{num_written} images labelled in {out}")
    for failure in failed:
        click.echo(f"cannot read {failure['path']}: {failure['reason']}", err=True)
    if failed:
        context.exit(1)


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _read(path: Path) -> SegmentConfig:
    return SegmentConfig.from_json(read_settings(path), source=path)


def _table(test: dict[str, Any]) -> str:
    lines = [f"{'':14}{'mIoU':>7}{'pixel acc.':>12}{'class acc.':>12}"]
    for name, scores in test.items():
        if scores is not None:
            values = (scores[key] for key in ("miou", "pixel_accuracy", "mean_accuracy"))
            mean, pixels, classes = ("-" if value is None else f"{value:.3f}" for value in values)
            lines.append(f"{name.replace('_', ' '):14}{mean:>7}{pixels:>12}{classes:>12}")
    return "\n".join(lines)
