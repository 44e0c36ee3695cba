"""What a run leaves to look at and to use: the prompt file and the preview."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ...core import OutputTransform
from ...data import CanvasSet
from ...files import write_bytes
from ...plots import Preview, draw_preview
from ...prompt import Prompt
from ...version import __version__
from ..answers import Answered
from ..parts import Parts
from ..result import Score

__all__ = ["Shown", "draw", "empty_prompt", "metrics_of", "trained_prompt", "write_history"]

_SHOWN_IMAGES = 6


def trained_prompt(parts: Parts, theta: Tensor, output: OutputTransform) -> Prompt:
    """Returns the prompt of the parameters theta, (P,), on the canvas of the parts."""
    template = parts.template
    return Prompt(
        rgba=template.export(theta),
        canvas=parts.canvas,
        blend=template.blend.name,
        delta_scale=template.blend.delta_scale,
        template={"name": template.name, "params": template.geometry.params, "num_params": template.num_params},
        output=output.to_json(),
        **_origin(parts),
    )


def empty_prompt(parts: Parts, output: OutputTransform) -> Prompt:
    """Returns the prompt that changes nothing, with an output transform of its own."""
    return Prompt(
        rgba=np.zeros((*parts.plain.size, 4), np.uint8),
        canvas=parts.plain,
        blend="over",
        delta_scale=None,
        template={"name": "none", "params": {}, "num_params": 0},
        output=output.to_json(),
        **_origin(parts),
    )


def _origin(parts: Parts) -> dict[str, Any]:
    return {
        "model": parts.spec.name,
        "weights_sha256": parts.weights_sha256,
        "seed": parts.config.seed,
        "version": __version__,
    }


def metrics_of(rungs: Mapping[str, Score | None]) -> dict[str, Any]:
    """Returns the accuracies of the ladder, as the prompt file tells them."""
    return {name: {"val": rung.val, "test": rung.test} for name, rung in rungs.items() if rung is not None}


def write_history(folder: Path, lines: Sequence[Mapping[str, float]]) -> None:
    """Writes `history.jsonl`, a line per epoch or validation, all at once."""
    write_bytes(folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())


@dataclass(frozen=True)
class Shown:
    """A split as the preview shows it: canvases, their answers, and how those are read."""

    canvases: CanvasSet
    answered: Answered
    output: OutputTransform


def draw(
    folder: Path,
    prompt: Prompt | None,
    classes: tuple[str, ...],
    before: Shown,
    after: Shown,
    names: tuple[str, str] = ("without prompt", "with prompt"),
) -> None:
    """Draws `preview.png`: the prompt, if the method has one, a few images, and the test split class by class."""
    labels = before.answered.labels
    chosen = np.unique(np.linspace(0, len(labels) - 1, _SHOWN_IMAGES).astype(int))
    draw_preview(
        folder / "preview.png",
        Preview(
            prompt=prompt,
            classes=classes,
            before=np.asarray(before.canvases.pixels[chosen]),
            after=None if prompt is None else prompt.overlay(np.asarray(after.canvases.pixels[chosen])),
            labels=labels.numpy(),
            guesses_before=before.output.to("cpu")(before.answered.outputs).argmax(1).numpy(),
            guesses_after=after.output.to("cpu")(after.answered.outputs).argmax(1).numpy(),
            shown=chosen,
            names=names,
        ),
    )
