"""From an image of any size to a label per pixel: sliding windows, several scales, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..engine.answers import to_images
from ..engine.progress import Reporter, Silent
from .ade20k import LabeledImages
from .crops import base_size
from .metrics import Confusion

__all__ = ["SCALES", "Windows", "count_confusion", "label_map", "window_starts"]

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of multi-scale scores, each mirrored, too."""
_BATCH = 8
_BAND = 64
"""Rows of a large image that are labelled at a time."""


@dataclass(frozen=True)
class Windows:
    """Class probabilities of whole images by a model that takes one size.

    Attributes:
        segment: Images (n, 3, h, w) in [0, 1] of the window's size -> logits (n, K, h, w).
        size: Of the window, (height, width); the next one lies two thirds of it further.
        fill: RGB, 0..255, of places outside an image.
        scales: Of `base_size`; the probabilities of all are averaged.
        mirror: Segments each mirrored, too.
    """

    segment: Callable[[Tensor], Tensor]
    size: tuple[int, int]
    fill: tuple[int, int, int]
    device: str = "cpu"
    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False

    @torch.no_grad()
    def probabilities(self, image: Image.Image) -> Tensor:
        """RGB image -> (K, h, w) at its `base_size`, sum 1 over K."""
        base = base_size((image.height, image.width), self.size)
        total = torch.zeros((), device=self.device)
        for scale in self.scales:
            tall, wide = (max(1, round(side * scale)) for side in base)
            probabilities = self._padded(image.resize((wide, tall), Image.Resampling.BILINEAR))
            if probabilities.shape[1:] != base:
                probabilities = F.interpolate(probabilities[None], base, mode="bilinear", align_corners=False)[0]
            total = total + probabilities
        return total / len(self.scales)

    def labels(self, image: Image.Image) -> Tensor:
        """RGB image -> labels (H, W), uint8, on the CPU."""
        return label_map(self.probabilities(image), (image.height, image.width))

    def _padded(self, image: Image.Image) -> Tensor:
        canvas = np.full((max(image.height, self.size[0]), max(image.width, self.size[1]), 3), self.fill, np.uint8)
        canvas[: image.height, : image.width] = np.asarray(image)
        probabilities = self._slide(to_images(canvas[None], self.device)[0])
        return probabilities[:, : image.height, : image.width]

    def _slide(self, image: Tensor) -> Tensor:
        """Image (3, h, w), no smaller than the window -> the mean of the probabilities of its windows, (K, h, w)."""
        height, width = self.size
        places = [
            (top, left)
            for top in window_starts(image.shape[1], height)
            for left in window_starts(image.shape[2], width)
        ]
        total, counts = torch.zeros((), device=self.device), torch.zeros(image.shape[1:], device=self.device)
        for batch in (places[start : start + _BATCH] for start in range(0, len(places), _BATCH)):
            crops = torch.stack([image[:, top : top + height, left : left + width] for top, left in batch])
            probabilities = self._probabilities(crops)
            if total.ndim == 0:
                total = torch.zeros(probabilities.shape[1], *image.shape[1:], device=self.device)
            for (top, left), window in zip(batch, probabilities, strict=True):
                total[:, top : top + height, left : left + width] += window
                counts[top : top + height, left : left + width] += 1
        return total / counts

    def _probabilities(self, crops: Tensor) -> Tensor:
        probabilities = self.segment(crops).float().softmax(1)
        if not self.mirror:
            return probabilities
        return (probabilities + self.segment(crops.flip(3)).float().softmax(1).flip(3)) / 2


def window_starts(length: int, window: int) -> list[int]:
    """Returns where windows begin so that they cover `length`, each at most two thirds of a window after the last."""
    stride = max(1, round(window * 2 / 3))
    return sorted({min(start, length - window) for start in range(0, length - window + stride, stride)})


def label_map(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns the likeliest class at every pixel of an image, as if the probabilities were resized to it at once.

    Args:
        probabilities: (K, h, w).
        size: (H, W); only a band of its rows is held at a time, whatever H is.

    Returns:
        (H, W) uint8, on the CPU.
    """
    height = probabilities.shape[1]
    rows = ((torch.arange(size[0], device=probabilities.device) + 0.5) * height / size[0] - 0.5).clamp(0, height - 1)
    bands = []
    for band_rows in torch.split(rows, _BAND):
        above = band_rows.long()
        share = (band_rows - above)[None, :, None]
        below = (above + 1).clamp(max=height - 1)
        band = torch.lerp(probabilities[:, above], probabilities[:, below], share)
        wide = F.interpolate(band[None], (len(band_rows), size[1]), mode="bilinear", align_corners=False)[0]
        bands.append(wide.argmax(0).to(torch.uint8).cpu())
    return torch.cat(bands)


def count_confusion(windows: Windows, images: LabeledImages, *, reporter: Reporter | None = None) -> Confusion:
    """Labels every image at its own size and counts the pixels against the annotations."""
    confusion = Confusion.empty(images.num_classes)
    for index in range(len(images)):
        image, truth = images.read(index)
        confusion.add(torch.from_numpy(truth), windows.labels(image))
        (reporter or Silent()).advance()
    return confusion
