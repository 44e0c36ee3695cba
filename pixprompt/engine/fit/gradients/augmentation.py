"""Random changes of training images: what a prompt must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from ....canvas import Canvas

__all__ = ["Augmentation", "augmentation", "augmented"]

Augmentation = Callable[[Tensor, Generator], Tensor]
"""Images (N, 3, H, W) in [0, 1] and a generator on the CPU -> changed images."""
_MARGIN = 1 / 7
"""Of "crop": 32 pixels on 224, as SMM has it (arXiv 2406.03150)."""


def augmentation(kind: str | None, canvas: Canvas) -> Augmentation | None:
    """Returns what changes the images of a training step, those on a canvas; None for nothing. See `augmented`."""
    return None if kind in (None, "none") else partial(augmented, kind=kind, box=canvas.image_box)


def augmented(images: Tensor, generator: Generator, *, kind: str | None, box: tuple[int, int, int, int]) -> Tensor:
    """Changes each image at random, and nothing around it.

    Args:
        images: (N, 3, H, W) in [0, 1]; not written to.
        generator: Draws, on the CPU.
        kind: "flip" mirrors half of them; "crop" besides enlarges each by a seventh and cuts it out at random.
        box: Where the image lies on its canvas: (top, left, height, width) in pixels.

    Returns:
        (N, 3, H, W) of 8-bit values k / 255.
    """
    top, left, height, width = box
    inside = images[:, :, top : top + height, left : left + width]
    if kind == "crop":
        rows, columns = round(height * _MARGIN), round(width * _MARGIN)
        larger = interpolate(inside, (height + rows, width + columns), mode="bilinear", align_corners=False)
        tops = torch.randint(rows + 1, (len(images),), generator=generator).tolist()
        lefts = torch.randint(columns + 1, (len(images),), generator=generator).tolist()
        inside = torch.stack(
            [each[:, y : y + height, x : x + width] for each, y, x in zip(larger, tops, lefts, strict=True)]
        )
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    inside = torch.where(mirrored.view(-1, 1, 1, 1), inside.flip(3), inside)
    changed = images.clone()
    changed[:, :, top : top + height, left : left + width] = (inside * 255).round() / 255
    return changed
