"""The pictures of a run: learning curves, and the images and confusions before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import OutputTransform
from ...data import CanvasSet
from ...plots import Preview, curves_figure, preview_figure, save_png, student_figure
from ...prompt import Prompt
from ..answers import Answered

__all__ = ["PreviewSplit", "draw_run", "draw_student"]

_NUM_IMAGES = 6
_DPI = 100


@dataclass(frozen=True)
class PreviewSplit:
    """A split as the preview shows it: canvases, their answers, and how those are read."""

    canvases: CanvasSet
    answered: Answered
    output: OutputTransform

    @property
    def guesses(self) -> npt.NDArray[np.int64]:
        """The class of each image, (N,)."""
        return self.output.to("cpu")(self.answered.outputs).argmax(1).numpy()


def draw_run(
    folder: Path,
    classes: tuple[str, ...],
    history: Sequence[Mapping[str, float]],
    metrics: Mapping[str, Any],
    prompt: Prompt | None,
    names: tuple[str, str],
    before: PreviewSplit | None,
    after: PreviewSplit | None,
) -> None:
    """Draws `curves.png`, and `preview.png` where there is something to show.

    Args:
        folder: The run directory.
        classes: K names.
        history: A line per epoch or validation.
        metrics: Accuracies of the ladder.
        prompt: Shown beside a few images; None for a method without one.
        names: Of before and after.
        before: The test images without a prompt; None where none was answered.
        after: The same images with what was learned.
    """
    if history:
        save_png(curves_figure(history, metrics), folder / "curves.png", dpi=_DPI)
    if before is None or after is None:
        return
    labels = before.answered.labels
    chosen = np.unique(np.linspace(0, len(labels) - 1, _NUM_IMAGES).astype(int))
    preview = Preview(
        prompt=prompt,
        classes=classes,
        before=np.asarray(before.canvases.pixels[chosen]),
        after=None if prompt is None else prompt.overlay(np.asarray(after.canvases.pixels[chosen])),
        labels=labels.numpy(),
        guesses_before=before.guesses,
        guesses_after=after.guesses,
        shown=chosen,
        names=names,
    )
    save_png(preview_figure(preview), folder / "preview.png", dpi=_DPI)


def draw_student(folder: Path, facts: Mapping[str, Any], per_prediction: float, price_per_1000: float | None) -> None:
    """Draws `student.png`; see `student_figure`."""
    save_png(student_figure(facts, per_prediction, price_per_1000), folder / "student.png", dpi=_DPI)
