"""`pixprompt inspect`: what a prompt file says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ...files import make_folder
from ...prompt import Committee, Prompt, load_committee
from ...sharing import prompt_path
from ...views import view_name
from ..options import json_option, print_json
from ..terminal import echo

__all__ = ["inspect"]

_MANY = 12


@click.command
@click.argument("prompt_file", metavar="PROMPT.png|RUN|hf:OWNER/NAME")
@click.option("--pages", type=click.Path(file_okay=False, path_type=Path), help="Folder for each view as its own PNG.")
@json_option
def inspect(prompt_file: str, pages: Path | None, as_json: bool) -> None:
    """Show what PROMPT.png, or the prompt of a run, says about itself.

    The pixels and the metadata are checked against their digests first; a file that was changed is refused. With
    --pages, each view of a prompt that has several is written as a prompt of its own, to be applied alone.
    """
    prompt = load_committee(prompt_path(prompt_file))
    if pages is not None:
        make_folder(pages)
        for number, page in enumerate(prompt.pages, 1):
            page.save(pages / f"view-{number}.png")
    covered = float((prompt.rgba[..., 3] > 0).mean())
    metadata = prompt.metadata()
    if as_json:
        print_json({"path": prompt_file, "digests": "match", "covered": covered, **metadata})
        return
    rows = list(_rows(prompt))
    width = max(len(name) for name, _ in rows)
    what = "a prompt" if len(prompt.pages) == 1 else f"{len(prompt.pages)} prompts, each for the same image,"
    echo(f"{prompt_file}: {what} of schema {metadata['schema']}, pixels and metadata match their digests")
    for name, value in rows:
        echo(f"{name:{width}}  {value}".replace("\n", "?"))


def _rows(prompt: Committee) -> Iterator[tuple[str, str]]:
    if len(prompt.pages) == 1:
        yield from _page_rows(prompt.pages[0])
    else:
        yield "queries", _price(prompt)
        for number, page in enumerate(prompt.pages, 1):
            yield f"view {number}", view_name(page)
            yield from ((f"view {number} {name}", value) for name, value in _page_rows(page))
    yield "model", prompt.model or "not said"
    yield "output", str(prompt.output.get("kind", "not said"))
    classes = prompt.output.get("classes")
    yield "classes", f"{len(classes)}: {_some(classes)}" if isinstance(classes, list) else "not said"
    yield "seed", str(prompt.seed)
    yield "saved by", f"pixprompt {prompt.version}" if prompt.version else "not said"
    yield from _flat("metrics", prompt.metrics)


def _price(prompt: Committee) -> str:
    """Says what a prediction takes; with a cascade, an image is asked further where the first answer leaves doubt."""
    expected = prompt.cascade.get("per_prediction")
    if isinstance(expected, int | float):
        return f"1 to {len(prompt.pages)} per prediction, {expected:.3g} expected"
    return f"{len(prompt.pages)} per prediction"


def _page_rows(prompt: Prompt) -> Iterator[tuple[str, str]]:
    canvas = prompt.canvas
    yield "template", _one_line(prompt.template)
    scale = "" if prompt.delta_scale is None else f", delta_scale {prompt.delta_scale:g}"
    yield "blend", f"{prompt.blend}{scale}"
    yield "canvas", f"{canvas.size[0]}x{canvas.size[1]} (height x width)"
    described = canvas.to_json()
    yield "made by", _one_line({key: described[key] for key in described if key != "size"})
    yield "covered", f"{(prompt.rgba[..., 3] > 0).mean():.1%} of the canvas"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield name, _some(value) if isinstance(value, list) else _number(value)
        return
    for key, inner in value.items():
        yield from _flat(f"{name}.{key}", inner)


def _one_line(values: Any) -> str:
    return ", ".join(f"{name.split('.', 1)[1]} {value}" for name, value in _flat("x", values)) or "not said"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _some(values: Any) -> str:
    text = ", ".join(_number(value) for value in values[:_MANY])
    return f"{text}, ..." if len(values) > _MANY else text
