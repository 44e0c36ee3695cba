"""Every picture that the tool draws."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec

from .files import write_bytes
from .prompt import Prompt

__all__ = ["Preview", "confusion", "draw_curves", "draw_preview"]

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
_NAMES = {"no_prompt": "no prompt", "output_only": "no prompt, best output transform"}
_BLUE, _ORANGE, _GREY = "#2563a8", "#d9701c", "#8a8a8a"
_SHOWN_CLASSES = 20
P = ParamSpec("P")


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


def _plain_text(draw: Callable[P, None]) -> Callable[P, None]:
    """Draws class names as they are: no formulas between dollar signs, no remark on signs that the font lacks."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        with rc_context({"text.parse_math": False}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Glyph .* missing")
            draw(*args, **kwargs)

    return wrapped


@_plain_text
def draw_curves(path: Path, history: Sequence[Mapping[str, float]], rungs: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws loss and accuracy by epoch, with the validation accuracy of the rungs without a prompt as lines."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    for axes, what in ((left, "loss"), (right, "accuracy")):
        for split, color in (("train", _BLUE), ("val", _ORANGE)):
            axes.plot(epochs, [line[f"{split}_{what}"] for line in history], "o-", ms=3, color=color, label=split)
        axes.set(xlabel="epoch", ylabel=what)
        axes.spines[["top", "right"]].set_visible(False)
    for name, style in (("no_prompt", ":"), ("output_only", "--")):
        if name in rungs and rungs[name]["val"] is not None:
            right.axhline(rungs[name]["val"], color=_GREY, ls=style, lw=1, label=f"{_NAMES[name]} (val)")
    right.set_ylim(0, 1.02)
    left.legend(frameon=False)
    right.legend(frameon=False, fontsize="small")
    _save(figure, path)


@_plain_text
def draw_preview(path: Path, preview: Preview) -> None:
    """Draws the prompt, a few images before and after, and the confusion of the test split before and after."""
    columns = len(preview.before)
    figure = Figure(figsize=(1.7 * (columns + 2), 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.15))
    top = GridSpecFromSubplotSpec(1, 2, grid[0], width_ratios=(2, columns))
    prompt_axes = figure.add_subplot(top[0])
    prompt_axes.imshow(_on_checkers(preview.prompt))
    _bare(prompt_axes, f"prompt ({preview.prompt.template['name']}, {preview.prompt.blend})")
    _draw_images(figure, top[1], preview)
    bottom = GridSpecFromSubplotSpec(1, 2, grid[1])
    for position, guesses, name in (
        (0, preview.guesses_before, "without prompt"),
        (1, preview.guesses_after, "with prompt"),
    ):
        axes = figure.add_subplot(bottom[position])
        _draw_confusion(axes, confusion(preview.labels, guesses, len(preview.classes)), preview.classes, name)
    _save(figure, path)


def confusion(labels: Labels, guesses: Labels, num_classes: int) -> npt.NDArray[np.int64]:
    """Returns counts (K, K): rows are true classes, columns predicted ones."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, guesses), 1)
    return counts


def _draw_images(figure: Figure, place: SubplotSpec, preview: Preview) -> None:
    rows = GridSpecFromSubplotSpec(2, len(preview.before), place)
    for column, index in enumerate(preview.shown):
        for row, (images, guesses) in enumerate(
            ((preview.before, preview.guesses_before), (preview.after, preview.guesses_after))
        ):
            axes = figure.add_subplot(rows[row, column])
            axes.imshow(images[column])
            right = guesses[index] == preview.labels[index]
            _bare(axes, _short(preview.classes[guesses[index]]), color=_BLUE if right else _ORANGE)
            if row == 0:
                axes.set_xlabel(f"is {_short(preview.classes[preview.labels[index]])}", fontsize=8)


def _draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], classes: Sequence[str], name: str) -> None:
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    accuracy = np.trace(counts) / max(1, counts.sum())
    axes.set_title(f"{name}: {accuracy:.1%} of {counts.sum()} test images", fontsize=10)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) > _SHOWN_CLASSES:
        return
    names = [_short(item) for item in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)


def _on_checkers(prompt: Prompt) -> Pixels:
    """Shows what is transparent as a grey checkerboard."""
    height, width = prompt.canvas.size
    rows, columns = np.indices((height, width)) // 8
    board = np.where((rows + columns) % 2 == 0, 205, 235)[..., None]
    alpha = prompt.rgba[..., 3:] / 255.0
    return (alpha * prompt.rgba[..., :3] + (1 - alpha) * board).round().astype(np.uint8)


def _bare(axes: Axes, title: str, color: str = "black") -> None:
    axes.set_title(title, fontsize=9, color=color)
    axes.set_xticks([])
    axes.set_yticks([])


def _short(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_bytes(path, buffer.getvalue())
