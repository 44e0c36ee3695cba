"""Canvases as a torch `Dataset`, for a training loop of one's own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..canvas import Canvas
from .canvases import make_canvases
from .image_set import ImageSet

__all__ = ["CanvasDataset"]


class CanvasDataset(Dataset[tuple[Tensor, int]]):
    """Image (3, H, W) float32 in [0, 1] and label, by index; images that cannot be read are left out.

    Args:
        images: Of a data set, such as `load_data("digits").train`.
        canvas: How an image becomes a canvas: `Canvas.for_model(model.spec)`.
        workers: Threads that decode, once, into the cache of canvases.

    Attributes:
        canvases: The canvases (N, H, W, 3) uint8 with their labels.
    """

    def __init__(self, images: ImageSet, canvas: Canvas, *, workers: int = 0) -> None:
        self.canvases = make_canvases(images, canvas, workers=workers)

    def __len__(self) -> int:
        return len(self.canvases.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.canvases.pixels[index]).permute(2, 0, 1).float() / 255
        return image, int(self.canvases.labels[index])
