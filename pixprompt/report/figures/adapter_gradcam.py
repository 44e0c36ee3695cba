"""Where adapters look: Grad-CAM of the true class through the backbone's last layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...adapters import WhiteBox
from ...backbones import ViT
from ...core import ConfigError, ModelError
from ...engine.answers import batches
from ..saliency.gradcam import gradcam

__all__ = ["Seen", "see"]

_BATCH = 8
"""Few, because every feature map is held."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What an adapter makes of a few images.

    Attributes:
        shares: (N, K) softmax of the logits, float64, on the CPU.
        maps: (N, h, w) in [0, 1], 0 everywhere where no place speaks for the class; None where there are none.
        reason: Why there are none.
    """

    shares: npt.NDArray[np.float64]
    maps: npt.NDArray[np.float32] | None
    reason: str = ""


def see(adapter: WhiteBox, images: Tensor, labels: Tensor) -> Seen:
    """Explains the logit of each image's true class.

    What a method learns beside the backbone (the own network of side-tuning) is not looked into.

    Args:
        adapter: In evaluation mode.
        images: (N, 3, H, W) in [0, 1].
        labels: (N,) true classes.

    Reference: arXiv 1610.02391; arXiv 2312.10376, figure 4.
    """
    parts = list(batches(len(images), _BATCH))
    with torch.no_grad():
        logits = torch.cat([adapter(images[part]) for part in parts])
    shares = logits.double().softmax(1).cpu().numpy()
    try:
        maps = torch.cat([_explained(adapter, images[part], labels[part]) for part in parts])
    except ModelError as error:
        return Seen(shares, None, f"no Grad-CAM: {error}")
    return Seen(shares, maps.numpy())


def _explained(adapter: WhiteBox, images: Tensor, labels: Tensor) -> Tensor:
    count = len(images)
    if count == 1:  # beside one image alone, prompts that are the same for all images would look like its tokens
        images, labels = images.repeat(2, 1, 1, 1), labels.repeat(2)
    return gradcam(adapter.model.net, adapter, images, labels, grid=_grid(adapter)).maps[:count]


def _grid(adapter: WhiteBox) -> tuple[int, int] | None:
    try:
        return ViT(adapter.model).grid
    except ConfigError:
        return None
