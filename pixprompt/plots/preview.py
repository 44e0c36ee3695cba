"""The preview of a run: the prompt, a few images before and after, confusion before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec

from ..prompt import Prompt
from .matrices import Labels, confusion, draw_confusion
from .prompts import on_checkers
from .style import BLUE, ORANGE, Pixels, bare, plain_text, short

__all__ = ["Preview", "preview_figure"]


@dataclass(frozen=True)
class Preview:
    """What the preview shows.

    Attributes:
        prompt: As re-read from its file.
        classes: K names.
        before: (n, H, W, 3) uint8, a few test canvases without prompt.
        after: (n, H, W, 3) uint8, the same with it.
        shown: (n,) positions of those images in the test split.
        labels: (N,) of the whole test split.
        guesses_before: (N,) predicted without prompt.
        guesses_after: (N,) predicted with it.
    """

    prompt: Prompt
    classes: Sequence[str]
    before: Pixels
    after: Pixels
    shown: npt.NDArray[Any]
    labels: Labels
    guesses_before: Labels
    guesses_after: Labels


@plain_text
def preview_figure(preview: Preview) -> Figure:
    """Draws the prompt, a few images before and after, and the confusion of the test split before and after."""
    columns = len(preview.before)
    figure = Figure(figsize=(1.7 * (columns + 2), 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.15))
    top = GridSpecFromSubplotSpec(1, 2, grid[0], width_ratios=(2, columns))
    prompt_axes = figure.add_subplot(top[0])
    prompt_axes.imshow(on_checkers(preview.prompt))
    bare(prompt_axes, f"prompt ({preview.prompt.template['name']}, {preview.prompt.blend})")
    _draw_images(figure, top[1], preview)
    bottom = GridSpecFromSubplotSpec(1, 2, grid[1])
    for position, guesses, name in (
        (0, preview.guesses_before, "without prompt"),
        (1, preview.guesses_after, "with prompt"),
    ):
        axes = figure.add_subplot(bottom[position])
        draw_confusion(axes, confusion(preview.labels, guesses, len(preview.classes)), preview.classes, name)
    return figure


def _draw_images(figure: Figure, place: SubplotSpec, preview: Preview) -> None:
    rows = GridSpecFromSubplotSpec(2, len(preview.before), place)
    for column, index in enumerate(preview.shown):
        for row, (images, guesses) in enumerate(
            ((preview.before, preview.guesses_before), (preview.after, preview.guesses_after))
        ):
            axes = figure.add_subplot(rows[row, column])
            axes.imshow(images[column])
            right = guesses[index] == preview.labels[index]
            bare(axes, short(preview.classes[guesses[index]]), color=BLUE if right else ORANGE)
            if row == 0:
                axes.set_xlabel(f"is {short(preview.classes[preview.labels[index]])}", fontsize=8)
