"""A local model as a source of features: canvases in, rows of features out."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..canvas import Canvas, Pixels
from ..core import AnswerKind, ConfigError, Model, ModelSpec
from ..models import TorchModel, local_net
from ..tensor_checks import to_images
from .features import FeatureNet

__all__ = ["LocalFeatures"]


class LocalFeatures:
    """A local model that gives the features before its classifier, or its outputs where it has none.

    Args:
        model: Any local model.

    Raises:
        AccessError: It is behind a URL, or a function.
    """

    def __init__(self, model: Model) -> None:
        self.model = local_net(model, "what is learned on features")
        self.canvas = Canvas.for_model(model.spec)
        self._features = _feature_net(self.model)

    @cached_property
    def spec(self) -> ModelSpec:
        """Of the features, D outputs."""
        width = int(self(np.zeros((1, *self.canvas.size, 3), np.uint8)).shape[1])
        return ModelSpec(self.model.spec.name, self.canvas.size, width, AnswerKind.LOGITS)

    @torch.no_grad()
    def __call__(self, canvases: Pixels) -> Tensor:
        """Returns the features (N, D), on the CPU, of canvases (N, H, W, 3)."""
        images = to_images(canvases, str(self.model.mean.device))
        if self._features is None:
            outputs: Tensor = self.model(images).float().cpu()
            return outputs
        with self.model.held():
            features: Tensor = self._features(images).float().cpu()
        return features


def _feature_net(model: TorchModel) -> FeatureNet | None:
    try:
        return FeatureNet(model)
    except ConfigError:  # of no library whose classifiers are known
        return None
