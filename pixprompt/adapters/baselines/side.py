"""Side-tuning: a small network of its own on the image, blended into the frozen features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline, at_least_one
from .dense import uniform, zero_linear

__all__ = ["SideNet", "SideTuning"]

_STAGES = 4


class SideTuning(Baseline):
    """Features sigmoid(a) frozen + (1 - sigmoid(a)) side, of any model; a is learned and starts at 0.

    The public code takes a pretrained AlexNet for the side. Here it is a small ConvNet that starts from scratch, so
    that no second download is needed.

    Args:
        side_width: Channels of the side network's first stage.

    Reference: arXiv 1912.13503, equation 1; arXiv 2203.12119, section 4.1 (Sidetune).
    """

    caches_frozen = True

    def __init__(
        self, model: TorchModel, classes: tuple[str, ...], *, side_width: int = 32, generator: Generator
    ) -> None:
        super().__init__(model, classes)
        width = self.net.width()
        self.side = SideNet(at_least_one("side_width", side_width), width, generator=generator)
        self.alpha = nn.Parameter(torch.zeros(()))
        self.head = ClassifierHead(width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the frozen features and the normalised images."""
        return self.net(images), self.model.normalize(images)

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        frozen, normalized = parts
        blend = torch.sigmoid(self.alpha)
        return blend * frozen + (1 - blend) * self.side(normalized)  # type: ignore[no-any-return]


class SideNet(nn.Module):
    """Four stages of 3x3 convolution of stride 2, group norm over all channels, ReLU; mean over places; a linear layer.

    Each stage has twice the channels of the one before it. Group norm, so that an image's features do not depend on
    the batch.

    Args:
        side_width: Channels of the first stage.
        width: D, of the features.
    """

    def __init__(self, side_width: int, width: int, *, generator: Generator) -> None:
        super().__init__()
        channels = [3, *(side_width * 2**stage for stage in range(_STAGES))]
        self.convolutions = nn.ModuleList(_convolutions(channels, generator))
        self.norms = nn.ModuleList(nn.GroupNorm(1, count) for count in channels[1:])
        self.last = zero_linear(channels[-1], width)
        with torch.no_grad():
            self.last.weight.copy_(uniform(width, channels[-1], generator=generator))

    def forward(self, normalized: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> (N, D)."""
        maps = normalized
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            maps = F.relu(norm(convolution(maps)))
        return self.last(maps.mean((2, 3)))  # type: ignore[no-any-return]


def _convolutions(channels: list[int], generator: Generator) -> Iterator[nn.Conv2d]:
    """Yields 3x3 convolutions with Kaiming-normal weights by fan-in; the norm behind them brings the bias."""
    for before, after in pairwise(channels):
        convolution: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Conv2d, before, after, 3, stride=2, padding=1, bias=False
        )
        with torch.no_grad():
            weights = torch.randn(convolution.weight.shape, generator=generator) * math.sqrt(2 / (9 * before))
            convolution.weight.copy_(weights)
        yield convolution
