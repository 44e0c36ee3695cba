"""The head of SETR-PUP: convolutions with a step of upsampling after each, then one class per pixel."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

__all__ = ["UpHead"]

_GROUP = 8
"""Channels that are normalised together: 32 groups of SETR's 256."""
_CLASSIFIER_STD = 0.01


class UpHead(nn.Module):
    """Patch tokens -> logits per pixel: `stages` times (3x3 convolution, norm, ReLU, bilinear upsampling), 1x1.

    SETR normalises with batch statistics over eight devices. On one device a batch holds few crops, so that this head
    has GroupNorm: as many parameters, the same in training and evaluation, and a crop's logits do not depend on its
    neighbours in the batch.

    Args:
        width: D of the tokens.
        channels: Between the convolutions.
        num_classes: K.
        stages: 4 in the head; 2 in an auxiliary one.
        factor: Of each upsampling; 2 in the head, 4 in an auxiliary one.

    Reference:
        arXiv 2012.15840, section 3.3.
    """

    def __init__(
        self, width: int, channels: int, num_classes: int, *, stages: int = 4, factor: int = 2, generator: Generator
    ) -> None:
        super().__init__()
        self.factor = factor
        self.first = nn.LayerNorm(width, eps=1e-6)
        widths = [width, *[channels] * (stages - 1)]
        self.kernels = nn.ParameterList(
            # Normal with variance 2 / fan-out (He et al.), which keeps the size of gradients through the ReLUs.
            _normal_parameter(channels, before, 3, 3, std=math.sqrt(2 / (9 * channels)), generator=generator)
            for before in widths
        )
        groups = math.gcd(channels, max(1, channels // _GROUP))
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in widths)
        self.classifier = _normal_parameter(num_classes, channels, 1, 1, std=_CLASSIFIER_STD, generator=generator)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, tokens: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Returns logits.

        Args:
            tokens: (N, P, D), row by row.
            grid: Patches (down, across), P in all.
            size: (height, width) of the logits; reached by a last resize where patches are not 16 pixels wide.

        Returns:
            (N, K, height, width).
        """
        maps = self.first(tokens).transpose(1, 2).reshape(len(tokens), -1, *grid)
        for number, (kernel, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            if number:
                maps = _up(maps, self.factor)
            maps = F.relu(norm(F.conv2d(maps, kernel, padding=1)))
        # A 1x1 convolution and a bilinear step may change places: this way the widest maps have K channels, no more.
        logits = _up(F.conv2d(maps, self.classifier, self.bias), self.factor)
        if logits.shape[2:] == size:
            return logits
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def _up(maps: Tensor, factor: int) -> Tensor:
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)


def _normal_parameter(*shape: int, std: float, generator: Generator) -> nn.Parameter:
    return nn.Parameter(std * torch.randn(shape, generator=generator))
