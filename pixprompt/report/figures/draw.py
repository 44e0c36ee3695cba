"""The pictures of the SA²VP paper, for any methods inside one model: features, saliency maps, aligned prompts.

Reference: arXiv 2312.10376, figures 3, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Generator

from ...adapters import SA2VP
from ...backbones.features import features
from ...core import ConfigError, Model, PixpromptError
from ...engine import Reporter, Silent
from ...engine.answers import reproducible, to_images
from ...engine.parts import canvases_of
from ...files import make_folder
from ...plots import Pixels, save_png
from ...plots.scatter import PointPanel, points_figure
from ...seeds import stream
from ..embedding import tsne, tsne_settings
from .adapter_gradcam import ClassMaps, explain_adapter, explain_model
from .alignment import Alignment, PromptSimilarity, measure_alignment, prompt_similarity
from .cells import gradcam_figure, similarity_figure
from .features import collect, head_inputs, silhouette
from .runs import AdapterRuns, open_adapter_runs

__all__ = ["BACKBONE", "PictureOptions", "Pictures", "draw_pictures", "pick"]

Labels = npt.NDArray[np.int64]
BACKBONE = "frozen backbone"
"""What the features without any adapter are called."""


@dataclass(frozen=True)
class PictureOptions:
    """What is drawn.

    Attributes:
        model: Instead of the runs' own; a name or a model.
        weights: Weights file of a model given by name.
        images: Rows of the pictures.
        points: Most test images in the plane.
        seed: Draws the rows, and arranges the points.
        layer: Whose states are compared with a map of prompts, from 0; None for the last.
    """

    model: str | Model | None = None
    weights: str | None = None
    device: str = "auto"
    images: int = 4
    points: int = 500
    seed: int = 0
    layer: int | None = None


@dataclass(frozen=True)
class Pictures:
    """What was drawn.

    Attributes:
        files: Names of the pictures in it.
        runs: Titles, as in the pictures.
        images: Names of the images in the rows.
        points: Images in the plane.
        silhouettes: Title -> silhouette of the classes; None where it is not defined.
        alignment: Title -> how aligned the map of prompts is, at each layer.
        skipped: Picture -> why it was not drawn.
    """

    out: Path
    files: tuple[str, ...]
    runs: tuple[str, ...]
    images: tuple[str, ...]
    points: int
    silhouettes: dict[str, float | None]
    alignment: dict[str, list[Alignment]]
    skipped: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Returns what the command prints."""
        return {
            "schema": 1,
            "out": str(self.out.absolute()),
            "files": [str((self.out / name).absolute()) for name in self.files],
            "runs": list(self.runs),
            "images": list(self.images),
            "points": self.points,
            "silhouette": self.silhouettes,
            "alignment": {title: [vars(layer) for layer in layers] for title, layers in self.alignment.items()},
            "skipped": self.skipped,
        }


@dataclass(frozen=True, eq=False)
class _Sample:
    """Canvases (N, H, W, 3), their labels (N,) and names."""

    pixels: Pixels
    labels: Labels
    names: tuple[str, ...]


def draw_pictures(
    folders: Sequence[str | Path],
    *,
    out: str | Path,
    options: PictureOptions | None = None,
    reporter: Reporter | None = None,
) -> Pictures:
    """Draws `tsne.png`, `gradcam.png` and, of runs with a map of prompts, `similarity.png`; changes no run.

    Args:
        folders: Run directories of methods that reach into the model; of one model and one data set.
        out: The folder of the pictures; new or empty.

    Raises:
        ConfigError: `out` is not empty, or the runs cannot be drawn together; see `open_adapter_runs`.
        DataError: The images cannot be found or read.
        PromptError: A run was learned inside another backbone.
    """
    folder, options, reporter = Path(out), options or PictureOptions(), reporter or Silent()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; --out is a folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Choose another --out.")
    runs = open_adapter_runs(folders, model=options.model, weights=options.weights, device=options.device)
    figures: dict[str, Figure] = {}
    skipped: dict[str, str] = {}
    with reproducible():
        rows, sample = _samples(runs, options, reporter)
        reporter.stage("pictures: Grad-CAM", len(rows.labels) * (1 + len(runs.adapters)))
        frozen, maps = _saliency(runs, rows, reporter)
        sources = runs.model.spec.labels
        figures["gradcam.png"] = gradcam_figure(rows.pixels, rows.labels, runs.classes, maps, frozen, sources)
        similarities = _similarities(runs, rows, maps, options.layer)
        if similarities:
            figures["similarity.png"] = similarity_figure(rows.pixels, rows.labels, runs.classes, similarities)
        else:
            skipped["similarity.png"] = "no run has a map of prompts."
        alignment = _align(runs, sample, reporter)
        silhouettes: dict[str, float | None] = {}
        try:
            figures["tsne.png"], silhouettes = _points(runs, sample, options.seed, reporter)
        except PixpromptError as error:
            skipped["tsne.png"] = str(error)
    make_folder(folder)
    for name, figure in figures.items():
        save_png(figure, folder / name)
    titles = tuple(runs.adapters)
    num_points = len(sample.labels)
    return Pictures(folder, tuple(figures), titles, rows.names, num_points, silhouettes, alignment, skipped)


def pick(labels: Labels, count: int, *, generator: Generator) -> Labels:
    """Draws at most `count` of N images, one per class as far as possible; returns positions, ordered by class."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    shuffled = labels[order]
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = shuffled == label
        turn[of_class] = np.arange(of_class.sum())
    picked = order[np.argsort(turn, kind="stable")][:count]
    return np.asarray(picked[np.argsort(labels[picked], kind="stable")], dtype=np.int64)


def _samples(runs: AdapterRuns, options: PictureOptions, reporter: Reporter) -> tuple[_Sample, _Sample]:
    """Returns the few images of the rows, and those of the plane, evenly spaced through the split."""
    labels = np.array(runs.test.labels)
    rows = pick(labels, options.images, generator=stream(options.seed, "pictures"))
    spaced = np.unique(np.linspace(0, len(labels) - 1, options.points).astype(int))
    return _sample(runs, rows, reporter), _sample(runs, spaced, reporter)


def _sample(runs: AdapterRuns, places: Labels, reporter: Reporter) -> _Sample:
    images = runs.test.subset(places)
    canvases = canvases_of(images, runs.canvas, runs.workers, reporter, "pictures: read images")
    return _Sample(np.asarray(canvases.pixels[:]), np.array(canvases.labels), canvases.names)


def _saliency(runs: AdapterRuns, rows: _Sample, reporter: Reporter) -> tuple[ClassMaps, dict[str, ClassMaps]]:
    """Returns the maps of the frozen model, and those of each run."""
    images, labels = to_images(rows.pixels, runs.device), torch.from_numpy(rows.labels).to(runs.device)
    frozen = explain_model(runs.model, images)
    reporter.advance(len(labels))
    maps = {}
    for title, adapter in runs.adapters.items():
        maps[title] = explain_adapter(adapter, images, labels)
        reporter.advance(len(labels))
    return frozen, maps


def _paired(runs: AdapterRuns) -> dict[str, SA2VP]:
    return {title: adapter for title, adapter in runs.adapters.items() if isinstance(adapter, SA2VP)}


def _similarities(
    runs: AdapterRuns, rows: _Sample, maps: dict[str, ClassMaps], layer: int | None
) -> dict[str, PromptSimilarity]:
    """Compares an image token with the map of prompts of each run that has one.

    Raises:
        ConfigError: A layer is named at which nothing can be compared.
    """
    paired = _paired(runs)
    if layer is not None and not paired:
        raise ConfigError("--layer is about runs with a map of prompts, and there is none; leave it out.")
    images = to_images(rows.pixels, runs.device)
    return {
        title: prompt_similarity(adapter, images, maps[title].maps, layer=layer) for title, adapter in paired.items()
    }


def _align(runs: AdapterRuns, sample: _Sample, reporter: Reporter) -> dict[str, list[Alignment]]:
    paired = _paired(runs)
    if paired:
        reporter.stage("pictures: alignment", len(paired) * len(sample.labels))
    alignment = {}
    for title, adapter in paired.items():
        alignment[title] = measure_alignment(adapter, sample.pixels, runs.device)
        reporter.advance(len(sample.labels))
    return alignment


def _points(
    runs: AdapterRuns, sample: _Sample, seed: int, reporter: Reporter
) -> tuple[Figure, dict[str, float | None]]:
    """Draws features in the plane, with a number below each panel that says how well classes cluster."""
    reads: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {BACKBONE: partial(features, runs.model)}
    reads |= {title: partial(head_inputs, adapter) for title, adapter in runs.adapters.items()}
    reporter.stage("pictures: features", len(reads) * len(sample.labels))
    panels, silhouettes = [], {}
    for title, read in reads.items():
        values = collect(read, sample.pixels, runs.device, reporter)
        score = silhouettes[title] = silhouette(values, sample.labels)
        caption = "silhouette not defined" if score is None else f"silhouette {score:.3f}"
        panels.append(PointPanel(title, tsne(values, seed=seed), caption))
    note = tsne_settings(len(sample.labels), seed=seed)
    return points_figure(
        panels, sample.labels, runs.classes, note=f"{note}; {len(sample.labels)} test images"
    ), silhouettes
