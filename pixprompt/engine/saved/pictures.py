"""The pictures of a run: learning curves, and the images and confusions before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import OutputTransform
from ...plots import Preview, curves_figure, preview_figure, save_png, student_figure
from ...prompt import Committee, Prompt
from ..answers import Answered, Pixels

__all__ = ["NUM_IMAGES", "PreviewState", "draw_run", "draw_student"]

NUM_IMAGES = 6
"""Images of a preview."""
_DPI = 100


@dataclass(frozen=True)
class PreviewState:
    """The test images in one state: their answers, and how those are read."""

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
    prompt: Prompt | Committee | None,
    names: tuple[str, str],
    states: tuple[PreviewState, PreviewState] | None,
    images: Sequence[Pixels],
    none_kept: str,
) -> None:
    """Draws `curves.png`, and `preview.png` where there is something to show.

    Args:
        classes: K names.
        history: A line per epoch or validation.
        prompt: Its pages are shown beside a few images; None for a method without one.
        names: Of before and after.
        states: The same test images before and after; None where none was answered.
        images: (NUM_IMAGES or fewer, H, W, 3) evenly spaced ones of them, plain, and under each page.
        none_kept: What stands above where no prompt was kept.
    """
    if history:
        save_png(curves_figure(history, metrics), folder / "curves.png", dpi=_DPI)
    if states is None:
        return
    before, after = states
    labels = before.answered.labels
    preview = Preview(
        prompts=() if prompt is None else tuple(prompt.pages),
        classes=classes,
        before=images[0],
        after=tuple(images[1:]),
        labels=labels.numpy(),
        guesses_before=before.guesses,
        guesses_after=after.guesses,
        shown=np.unique(np.linspace(0, len(labels) - 1, NUM_IMAGES).astype(int)),
        names=names,
        none_kept=none_kept,
    )
    save_png(preview_figure(preview), folder / "preview.png", dpi=_DPI)


def draw_student(folder: Path, facts: Mapping[str, Any], per_prediction: float, price_per_1000: float | None) -> None:
    """Draws `student.png`; see `student_figure`."""
    save_png(student_figure(facts, per_prediction, price_per_1000), folder / "student.png", dpi=_DPI)
