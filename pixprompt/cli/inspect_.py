"""`pixprompt inspect`: what a prompt file says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..prompt import SCHEMA, Prompt, load
from .options import json_option, print_json
from .terminal import echo

__all__ = ["inspect"]

_MANY = 12


@click.command
@click.argument("prompt_file", metavar="PROMPT.png", type=click.Path(path_type=Path))
@json_option
def inspect(prompt_file: Path, as_json: bool) -> None:
    """Show what PROMPT.png says about itself.

    The pixels and the metadata are checked against their digests first; a file that was changed is refused.
    """
    prompt = load(prompt_file)
    covered = float((prompt.rgba[..., 3] > 0).mean())
    if as_json:
        print_json({"path": str(prompt_file), "digests": "match", "covered": covered, **prompt.metadata()})
        return
    rows = list(_rows(prompt, covered))
    width = max(len(name) for name, _ in rows)
    echo(f"{prompt_file}: a prompt of schema {SCHEMA}, its pixels and metadata match their digests")
    for name, value in rows:
        echo(f"{name:{width}}  {value}".replace("\n", "?"))


def _rows(prompt: Prompt, covered: float) -> Iterator[tuple[str, str]]:
    canvas = prompt.canvas
    yield "template", _one_line(prompt.template)
    scale = "" if prompt.delta_scale is None else f", delta_scale {prompt.delta_scale:g}"
    yield "blend", f"{prompt.blend}{scale}"
    yield "canvas", f"{canvas.size[0]}x{canvas.size[1]} (height x width)"
    described = canvas.to_json()
    yield "made by", _one_line({key: described[key] for key in described if key != "size"})
    yield "covered", f"{covered:.1%} of the canvas"
    yield "model", prompt.model or "not said"
    yield "output", str(prompt.output.get("kind", "not said"))
    classes = prompt.output.get("classes")
    yield "classes", f"{len(classes)}: {_some(classes)}" if isinstance(classes, list) else "not said"
    yield "seed", str(prompt.seed)
    yield "saved by", f"pixprompt {prompt.version}" if prompt.version else "not said"
    yield from _flat("metrics", prompt.metrics)


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
    shown = ", ".join(_number(value) for value in values[:_MANY])
    return f"{shown}, ..." if len(values) > _MANY else shown
