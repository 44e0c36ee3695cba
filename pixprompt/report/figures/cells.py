"""The cells of the figures: saliency maps beside images, similarities to a map of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ...plots import Pixels, heat_overlay
from ...plots.gallery import WHITE, Cell, Column, Mark, gallery_figure, heat_pixels
from ...plots.style import BLUE, GRAY, LINES, ORANGE, short
from .adapter_gradcam import ClassMaps
from .alignment import PromptSimilarity

__all__ = ["gradcam_figure", "similarity_figure"]

Labels = npt.NDArray[np.int64]
_OUTSET = 0.25
_GRADCAM = (
    "Grad-CAM at the last layer: of the runs for the true class, of the frozen model for its own largest output. "
    "Below: predicted class and probability, blue if right."
)
_SIMILARITY = (
    "Cosine similarity of the image's most salient token (box of the run's colour) to each token of the map of "
    "prompts, both as they meet at the layer. White box: the prompt at the token's place."
)


def gradcam_figure(
    pixels: Pixels,
    labels: Labels,
    classes: Sequence[str],
    maps: Mapping[str, ClassMaps],
    frozen: ClassMaps,
    sources: Sequence[str] | None,
) -> Figure:
    """Draws images (N, H, W, 3), and beside each the map of the frozen model and of every run, with what is predicted.

    Args:
        pixels: (N, H, W, 3) canvases.
        labels: (N,) true classes.
        classes: K names.
        maps: Title -> maps of a run.
        frozen: Maps of the model without an adapter.
        sources: Names of the model's own outputs, where they are known.
    """
    columns = [Column("image"), Column("frozen model"), *map(Column, maps)]
    rows = [
        [
            _truth(pixels, labels, classes, number),
            _frozen_cell(pixels, frozen, sources, number),
            *(_run_cell(pixels, labels, classes, number, run) for run in maps.values()),
        ]
        for number in range(len(labels))
    ]
    return gallery_figure(columns, rows, _GRADCAM, heat_key="share of the largest value of each map")


def similarity_figure(
    pixels: Pixels, labels: Labels, classes: Sequence[str], similarities: Mapping[str, PromptSimilarity]
) -> Figure:
    """Draws images (N, H, W, 3) with their most salient token, and how like it each token of every map is."""
    colors = [LINES[place % len(LINES)] for place in range(len(similarities))]
    columns = [Column("image"), *map(Column, _layered(similarities), colors)]
    rows = [
        [
            _truth(pixels, labels, classes, number, _salient(similarities, colors, number)),
            *(_map(run, number) for run in similarities.values()),
        ]
        for number in range(len(labels))
    ]
    return gallery_figure(columns, rows, _SIMILARITY, map_key="similarity, each map for itself")


def _salient(similarities: Mapping[str, PromptSimilarity], colors: Sequence[str], number: int) -> tuple[Mark, ...]:
    """Boxes round the token of each run in an image, one round the other where they coincide."""
    marks: list[Mark] = []
    for run, color in zip(similarities.values(), colors, strict=True):
        row, column = map(int, run.tokens[number])
        same = sum((mark.row, mark.column, mark.grid) == (row, column, run.grids[0]) for mark in marks)
        marks.append(Mark(row, column, run.grids[0], color, outset=same * _OUTSET))
    return tuple(marks)


def _truth(pixels: Pixels, labels: Labels, classes: Sequence[str], number: int, marks: tuple[Mark, ...] = ()) -> Cell:
    return Cell(pixels[number], f"is {short(classes[labels[number]], 22)}", marks=marks)


def _run_cell(pixels: Pixels, labels: Labels, classes: Sequence[str], number: int, run: ClassMaps) -> Cell:
    guess = int(run.probabilities[number].argmax())
    caption = f"{short(classes[guess], 20)} {run.probabilities[number, guess]:.1%}"
    return _map_cell(pixels[number], run, number, caption, BLUE if guess == labels[number] else ORANGE)


def _frozen_cell(pixels: Pixels, frozen: ClassMaps, sources: Sequence[str] | None, number: int) -> Cell:
    largest = int(frozen.probabilities[number].argmax())
    name = f"output {largest}" if sources is None else sources[largest].split(",")[0]
    return _map_cell(pixels[number], frozen, number, short(name, 26), GRAY)


def _map_cell(image: Pixels, maps: ClassMaps, number: int, caption: str, color: str) -> Cell:
    if maps.maps is None:
        return Cell(None, caption, color, maps.reason)
    if not maps.maps[number].any():
        return Cell(None, caption, color, "no place speaks for the class")
    return Cell(heat_overlay(image, maps.maps[number], smooth=True), caption, color)


def _layered(similarities: Mapping[str, PromptSimilarity]) -> list[str]:
    return [f"{title}, layer\N{NO-BREAK SPACE}{run.layer}" for title, run in similarities.items()]


def _map(run: PromptSimilarity, number: int) -> Cell:
    values, (row, column) = run.maps[number], map(int, run.aligned[number])
    caption = f"{values.min():.2f} to {values.max():.2f}, there {values[row, column]:.2f}"
    return Cell(heat_pixels(values), caption, marks=(Mark(row, column, run.grids[1], WHITE),))
