"""From what was found to the cells of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ...plots import Pixels, heat_overlay
from ...plots.gallery import WHITE, Cell, Column, Mark, gallery_figure, heat_pixels
from ...plots.style import BLUE, LINES, ORANGE, short
from .adapter_gradcam import Seen
from .alignment import Likeness

__all__ = ["gaze_figure", "likeness_figure"]

Labels = npt.NDArray[np.int64]
_OUTSET = 0.25
_GAZE = (
    "Grad-CAM of the true class at the last layer, each map scaled by itself. Below: predicted class and probability, "
    "blue if right."
)
_LIKENESS = (
    "Cosine similarity of the image's most salient token (box of the run's colour) to each token of the map of "
    "prompts, both as they meet at the layer. White box: the prompt at the token's place."
)


def gaze_figure(pixels: Pixels, labels: Labels, classes: Sequence[str], seen: Mapping[str, Seen]) -> Figure:
    """Draws images (N, H, W, 3), and beside each where every run looks, with the class that it predicts."""
    columns = [Column("image"), *map(Column, seen)]
    rows = [
        [
            _truth(pixels, labels, classes, number),
            *(_gaze(pixels, labels, classes, number, run) for run in seen.values()),
        ]
        for number in range(len(labels))
    ]
    return gallery_figure(columns, rows, _GAZE)


def likeness_figure(pixels: Pixels, labels: Labels, classes: Sequence[str], alike: Mapping[str, Likeness]) -> Figure:
    """Draws images (N, H, W, 3) with their most salient token, and how like it each token of every map is."""
    colors = [LINES[place % len(LINES)] for place in range(len(alike))]
    columns = [Column("image"), *map(Column, _layered(alike), colors)]
    rows = [
        [
            _truth(pixels, labels, classes, number, _salient(alike, colors, number)),
            *(_map(found, number) for found in alike.values()),
        ]
        for number in range(len(labels))
    ]
    return gallery_figure(columns, rows, _LIKENESS)


def _salient(alike: Mapping[str, Likeness], colors: Sequence[str], number: int) -> tuple[Mark, ...]:
    """Boxes round the token of each run in an image, one round the other where they coincide."""
    marks: list[Mark] = []
    for found, color in zip(alike.values(), colors, strict=True):
        row, column = map(int, found.tokens[number])
        same = sum((mark.row, mark.column, mark.grid) == (row, column, found.grids[0]) for mark in marks)
        marks.append(Mark(row, column, found.grids[0], color, outset=same * _OUTSET))
    return tuple(marks)


def _truth(pixels: Pixels, labels: Labels, classes: Sequence[str], number: int, marks: tuple[Mark, ...] = ()) -> Cell:
    return Cell(pixels[number], f"is {short(classes[labels[number]], 22)}", marks=marks)


def _gaze(pixels: Pixels, labels: Labels, classes: Sequence[str], number: int, run: Seen) -> Cell:
    guess = int(run.shares[number].argmax())
    told = f"{short(classes[guess], 20)} {run.shares[number, guess]:.1%}"
    color = BLUE if guess == labels[number] else ORANGE
    if run.maps is None:
        return Cell(None, told, color, run.reason)
    heat = run.maps[number]
    if not heat.any():
        return Cell(None, told, color, "no place speaks for the true class")
    return Cell(heat_overlay(pixels[number], heat, smooth=True), told, color)


def _layered(alike: Mapping[str, Likeness]) -> list[str]:
    return [f"{title}, layer\N{NO-BREAK SPACE}{found.layer}" for title, found in alike.items()]


def _map(found: Likeness, number: int) -> Cell:
    values, (row, column) = found.maps[number], map(int, found.aligned[number])
    told = f"{values.min():.2f} to {values.max():.2f}, there {values[row, column]:.2f}"
    return Cell(heat_pixels(values), told, marks=(Mark(row, column, found.grids[1], WHITE),))
