"""Grad-CAM of adapters and of the frozen model, through the backbone's last layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...adapters import WhiteBox
from ...backbones import ViT
from ...core import ConfigError, ModelError
from ...engine.answers import batches
from ...models import TorchModel
from ..saliency.gradcam import gradcam

__all__ = ["ClassMaps", "explain_adapter", "explain_model"]

_BATCH = 8
"""Few, because every feature map is held."""


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """What an adapter or the frozen model predicts for a few images, and the saliency maps of one class of each.

    Attributes:
        probabilities: (N, K) softmax of the logits, float64, on the CPU.
        maps: (N, h, w) in [0, 1], 0 everywhere where no place speaks for the class; None where there are none.
        reason: Why there are none.
    """

    probabilities: npt.NDArray[np.float64]
    maps: npt.NDArray[np.float32] | None
    reason: str = ""


def explain_adapter(adapter: WhiteBox, images: Tensor, labels: Tensor) -> ClassMaps:
    """Explains the logit of each image's true class.

    What a method learns beside the backbone (the own network of side-tuning) is not explained.

    Args:
        adapter: In evaluation mode.
        images: (N, 3, H, W) in [0, 1].
        labels: (N,) true classes.

    Reference: arXiv 1610.02391; arXiv 2312.10376, figure 4.
    """
    return _explain(adapter.model, adapter, images, labels)


def explain_model(model: TorchModel, images: Tensor) -> ClassMaps:
    """Explains the output of the frozen model that is largest for each image, whatever it means.

    Args:
        model: In evaluation mode.
        images: (N, 3, H, W) in [0, 1].
    """
    with torch.no_grad():
        largest = torch.cat([model(images[part]).argmax(1) for part in batches(len(images), _BATCH)])
    return _explain(model, model, images, largest)


def _explain(model: TorchModel, score: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor) -> ClassMaps:
    parts = list(batches(len(images), _BATCH))
    with torch.no_grad():
        logits = torch.cat([score(images[part]) for part in parts])
    probabilities = logits.double().softmax(1).cpu().numpy()
    try:
        maps = torch.cat([_maps(model, score, images[part], classes[part]) for part in parts])
    except ModelError as error:
        return ClassMaps(probabilities, None, f"no Grad-CAM: {error}")
    return ClassMaps(probabilities, maps.numpy())


def _maps(model: TorchModel, score: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor) -> Tensor:
    count = len(images)
    if count == 1:  # beside one image alone, prompts that are the same for all images would look like its tokens
        images, classes = images.repeat(2, 1, 1, 1), classes.repeat(2)
    return gradcam(model.net, score, images, classes, grid=_grid(model)).maps[:count]


def _grid(model: TorchModel) -> tuple[int, int] | None:
    try:
        return ViT(model).grid
    except ConfigError:
        return None
