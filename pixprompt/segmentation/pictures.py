"""Pictures of a run: label maps as palette PNGs, overlays, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..canvas import Pixels
from ..plots import save_png
from ..plots.style import BLUE, ORANGE, clean, legend_above, plain_text
from .ade20k import Labels

__all__ = ["draw_curves", "label_picture", "overlay", "palette"]


def palette() -> Pixels:
    """Returns 256 colours (256, 3), no two alike and those of small numbers far apart; 0 is black.

    The bits of a number go in turn to red, green and blue, the lowest to the highest places.
    """
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colors[:, bit % 3] |= (((numbers >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return colors


def label_picture(labels: Labels, *, reduce_zero_label: bool) -> Image.Image:
    """Returns a palette picture whose values are the labels of annotation files.

    Args:
        labels: (H, W), classes 0..K-1.
        reduce_zero_label: Class c is label c + 1 there, since 0 means none.
    """
    picture = Image.fromarray(labels + np.uint8(reduce_zero_label))
    picture.putpalette(palette().flatten().tolist())
    return picture


def overlay(image: Image.Image, labels: Image.Image, *, opacity: float) -> Image.Image:
    """Lays the colours of a label picture on its image; opacity 0..1."""
    return Image.blend(image, labels.convert("RGB"), opacity)


@plain_text
def draw_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Draws the loss, and the scores on the validation part, by epoch."""
    figure = Figure(figsize=(9.8, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    left.plot(epochs, [line["train_loss"] for line in history], "o-", ms=3, color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss")
    for name, color, label in (("val_miou", ORANGE, "mIoU"), ("val_accuracy", BLUE, "pixel accuracy")):
        right.plot(epochs, [line[name] for line in history], "o-", ms=3, color=color, label=label)
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1.02))
    legend_above(right)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        clean(axes)
    save_png(figure, path, dpi=100)
