"""Occlusion maps of a model that only answers: how much of a class's probability goes when a patch is masked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["occlusion", "occlusion_queries"]

_GRAY = 128 / 255
_BATCH = 32


def occlusion_queries(num_images: int, grid: int) -> int:
    """Returns the queries of `occlusion`: every patch of every image once."""
    return num_images * grid * grid


@torch.no_grad()
def occlusion(
    score: Callable[[Tensor], Tensor], images: Tensor, probabilities: Tensor, classes: Tensor, *, grid: int
) -> Tensor:
    """Greys one patch after the other and returns what the probability of a class loses.

    Args:
        score: Images (n, 3, H, W) -> logits (n, K).
        images: (N, 3, H, W) in [0, 1]; not written to.
        probabilities: (N, K), the softmax of the logits for the images as they are.
        classes: (N,), which are explained.
        grid: Rows and columns of patches.

    Returns:
        (N, grid, grid): the probability lost, in [-1, 1]; negative where the patch stood against the class.
    """
    height, width = images.shape[2:]
    rows, columns = ([side * step // grid for step in range(grid + 1)] for side in (height, width))
    maps = torch.zeros(len(images), grid, grid)
    for number, image in enumerate(images):
        masked = image.repeat(grid * grid, 1, 1, 1)
        for cell in range(grid * grid):
            row, column = divmod(cell, grid)
            masked[cell, :, rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = _GRAY
        logits = torch.cat([score(part).float() for part in masked.split(_BATCH)])
        remaining = logits.double().softmax(1)[:, classes[number]].cpu()
        maps[number] = (float(probabilities[number, classes[number]]) - remaining).float().view(grid, grid)
    return maps
