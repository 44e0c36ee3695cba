"""The preview of a run: the prompt, a few images before and after, and what became of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from ..intervals import paired_difference
from ..prompt import Prompt
from .matrices import Labels, confusion, draw_confusion, draw_recalls
from .prompts import amplified, color_key
from .style import BLUE, GRAY, ORANGE, Pixels, bare, plain_text, short

__all__ = ["Preview", "preview_figure"]

_WIDTH = 13.6
_ROW = 2.1
"""Height of the images under one page."""


@dataclass(frozen=True)
class Preview:
    """What the preview shows.

    Attributes:
        prompts: The pages as re-read from their file; none where the method changes no image.
        classes: K names.
        before: (n, H, W, 3) uint8, a few test canvases without prompt.
        after: The same under each page.
        shown: (n,) positions of those images in the test split.
        labels: (N,) of the whole test split.
        guesses_before: (N,) predicted without prompt.
        guesses_after: (N,) predicted with it.
        names: What the two states are called.
        none_kept: What stands above where no prompt was kept.
    """

    prompts: Sequence[Prompt]
    classes: Sequence[str]
    before: Pixels
    after: Sequence[Pixels]
    shown: npt.NDArray[Any]
    labels: Labels
    guesses_before: Labels
    guesses_after: Labels
    names: tuple[str, str] = ("without prompt", "with prompt")
    none_kept: str = "no prompt kept"

    @property
    def is_empty(self) -> bool:
        """Whether no prompt was kept: its pages, if there are any, change nothing."""
        return len(self.prompts) > 0 and all(prompt.is_empty for prompt in self.prompts)

    @property
    def guesses(self) -> dict[str, Labels]:
        """What was predicted in each state; one state where no prompt was kept."""
        if self.is_empty:
            return {self.names[0]: self.guesses_before}
        return dict(zip(self.names, (self.guesses_before, self.guesses_after), strict=True))


@plain_text
def preview_figure(preview: Preview) -> Figure:
    """Draws each page of the prompt, a few images before and under each, and the test split class by class."""
    pictured = bool(preview.prompts) and not preview.is_empty
    rows = len(preview.prompts) + 1
    top_height = _ROW * rows if pictured else 3.2
    figure = Figure(figsize=(_WIDTH, top_height + 4.7), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(top_height, 4.7))[:, 0]
    if pictured:
        left, right = top.subfigures(1, 2, squeeze=False, width_ratios=(1, 2.6))[0]
        for part, prompt in zip(
            left.subfigures(len(preview.prompts), 1, squeeze=False)[:, 0], preview.prompts, strict=True
        ):
            _draw_prompt(part, prompt, scaled=len(preview.prompts) == 1)
        _draw_images(right, preview, _states(preview))
    else:
        _draw_images(top, preview, [("", preview.before, list(preview.guesses))])
        if preview.prompts:
            top.suptitle(preview.none_kept[:1].upper() + preview.none_kept[1:] + ".", fontsize=11, color=ORANGE)
    _draw_classes(bottom, preview)
    return figure


_State = tuple[str, Pixels, list[str]]
"""What a row of images is called, the images, and whose predictions stand below them."""


def _states(preview: Preview) -> list[_State]:
    """Returns the images without a prompt and under each page; the last row says what all pages together predict."""
    before, after = preview.names
    names = [after] if len(preview.after) == 1 else [f"view {number}" for number in range(1, len(preview.after) + 1)]
    last = len(preview.after) - 1
    rows = [
        (name, images, [after] if row == last else [])
        for row, (name, images) in enumerate(zip(names, preview.after, strict=True))
    ]
    return [(before, preview.before, [before]), *rows]


def _draw_prompt(figure: SubFigure, prompt: Prompt, *, scaled: bool) -> None:
    """Draws the prompt with stretched colours, and the scale of the stretch."""
    pixels, factor = amplified(prompt)
    axes = figure.subplots()
    axes.imshow(pixels)
    stretch = f", colours stretched {factor:.1f} times" if factor > 1 else ""
    bare(axes, f"prompt ({prompt.template['name']}, {prompt.blend}){stretch}")
    if not scaled:
        return
    end, meaning = color_key(prompt, factor)
    scale = ScalarMappable(Normalize(-end, end), "gray")
    bar = figure.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.8, aspect=30, pad=0.02)
    bar.set_ticks([-end, 0, end], labels=[f"{-end:.0f}", "0", f"{end:+.0f}"])
    bar.set_label(f"{meaning}\nplain light grey: the image as it is", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw_images(figure: SubFigure, preview: Preview, states: Sequence[_State]) -> None:
    """Draws a row of images for each state."""
    panels = figure.subplots(len(states), len(preview.shown), squeeze=False)
    for row, (name, images, predicted) in enumerate(states):
        for axes, image, index in zip(panels[row], images, preview.shown, strict=True):
            axes.imshow(image)
            bare(axes, f"is {short(preview.classes[preview.labels[index]])}" if row == 0 else "")
            axes.spines[:].set_color(GRAY)
            _name_guesses(axes, preview, index, predicted)
        if name:
            panels[row][0].set_ylabel(name, fontsize=9)


def _name_guesses(axes: Axes, preview: Preview, index: int, names: Sequence[str]) -> None:
    for line, name in enumerate(names):
        guess = preview.guesses[name][index]
        right = guess == preview.labels[index]
        text = f"{'✓' if right else '✗'} {short(preview.classes[guess])}"
        text = text if len(names) == 1 else f"{short(name, 20)}: {text}"
        axes.annotate(text, (0.5, 0), (0, -4 - 12 * line), xycoords="axes fraction", textcoords="offset points",
                      ha="center", va="top", fontsize=8.5, color=BLUE if right else ORANGE)  # fmt: skip


def _draw_classes(figure: SubFigure, preview: Preview) -> None:
    """Draws the confusions, and beside them the share that is right of each class."""
    tables = {name: confusion(preview.labels, guesses, len(preview.classes))
              for name, guesses in preview.guesses.items()}  # fmt: skip
    *matrices, recalls = figure.subplots(1, len(tables) + 1, squeeze=False)[0]
    for axes, (name, counts) in zip(matrices, tables.items(), strict=True):
        draw_confusion(axes, counts, preview.classes, name)
    draw_recalls(recalls, list(tables.values()), preview.classes, list(tables))
    if len(tables) == 2:
        before, after = (guesses == preview.labels for guesses in preview.guesses.values())
        low, high = paired_difference(
            int(np.sum(after & ~before)), int(np.sum(before & ~after)), int(np.sum(before & after)), len(before)
        )
        change = 100 * float(after.mean() - before.mean())
        recalls.set_title(
            f"change {change:+.1f} points{', may be chance' if low <= 0 <= high else ''}\n"
            f"95% paired interval {100 * low:+.1f} to {100 * high:+.1f}",
            fontsize=10,
            pad=24,
        )
