"""SMM's prompt: one pattern for all images, times a mask that a small network makes of each."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import interpolate

from ...canvas import Canvas
from ...core import ConfigError, Model, OutputTransform, PromptError
from ...prompt import Prompt
from ...seeds import seeded
from ...templates import PixelTemplate, clamp_through, round_through
from ...tensor_checks import check_images
from ..pixel import PixelPrompt

__all__ = ["MaskNet", "MaskedPrompt"]

_LAYERS = (5, 6)


class MaskNet(nn.Module):
    """Images (N, 3, H, W) -> masks (N, 3, H, W) that are constant on patches of `patch` pixels.

    3x3 convolutions of 8, 16, 32, ... channels, each with batch norm and ReLU, the first ones with 2x2 max pooling;
    the last one has 3 channels and nothing after it. Each number of the small mask is repeated over its patch:
    patch-wise interpolation.

    Args:
        layers: Convolutions.
        patch: 1, 2, 4, ...: two to the number of poolings.
        generator: Draws the first weights, as `torch.nn.Conv2d` does.

    Reference: arXiv 2406.03150.
    """

    def __init__(self, layers: int, patch: int, *, generator: Generator) -> None:
        super().__init__()
        channels = [3, *(8 * 2**i for i in range(layers - 1)), 3]
        self.num_pools = int(math.log2(patch))
        self.convolutions = nn.ModuleList(_convolution(*sides, generator=generator) for sides in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels[1:-1])

    def forward(self, images: Tensor) -> Tensor:
        """Returns the masks, of any sign."""
        maps = images.to(next(self.parameters()).dtype)
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=False)):
            maps = norm(convolution(maps)).relu()
            if index < self.num_pools:
                maps = nn.functional.max_pool2d(maps, 2)
        return interpolate(self.convolutions[-1](maps), images.shape[2:], mode="nearest")


class MaskedPrompt(PixelPrompt):
    """clamp(x + pattern * mask(x), 0, 1): another prompt for each image, which no PNG holds.

    Args:
        template: All pixels ("full"), blend "add".
        layers: Of the `MaskNet`: 5 with 26,499 parameters, the published one for ResNets; 6 with 102,339 for ViTs.
        patch: Side of the patches on which a mask is constant.
        generator: Draws the first weights; by default one that is seeded with 0.
        space: "pixel".

    Raises:
        ConfigError: The template is another one, or the network cannot be built.

    Reference: SMM, arXiv 2406.03150.
    """

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        layers: int = 5,
        patch: int = 8,
        generator: Generator | None = None,
        space: str = "pixel",
    ) -> None:
        if (template.name, template.blend.name, space) != ("full", "add", "pixel"):
            raise ConfigError("method 'smm' needs template 'full', blend 'add' and space 'pixel'.")
        if layers not in _LAYERS or patch not in [2**i for i in range(layers)] or patch > min(template.geometry.size):
            raise ConfigError(
                f"a mask has {' or '.join(map(str, _LAYERS))} layers and patches of 1, 2, 4, ... 2^(layers - 1) pixels "
                f"that fit the canvas, got {layers} layers and patches of {patch}."
            )
        super().__init__(template, model, output, generator=generator)
        self.mask = MaskNet(layers, patch, generator=seeded(generator))
        self.recipe = ("smm", {"layers": layers, "patch": patch})

    def prompted(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Adds each image's own prompt; see `PixelPrompt.prompted`."""
        check_images(images, self.template.geometry.size)
        delta = self.template.to_plane(self.theta) * self.mask(images)
        values = clamp_through(images + delta, 0.0, 1.0)
        return round_through(values * 255) / 255 if quantize else values

    def to_prompt(self, canvas: Canvas | None = None, **origin: Any) -> Prompt:
        """Raises PromptError: each image has a prompt of its own."""
        raise PromptError(
            "method 'smm' makes another prompt for each image, which no PNG can hold; save the adapter instead: "
            "save('adapter.safetensors')."
        )


def _convolution(inner: int, outer: int, *, generator: Generator) -> nn.Conv2d:
    convolution: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, inner, outer, 3, padding=1)  # type: ignore[no-untyped-call]
    bound = 1 / math.sqrt(9 * inner)
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return convolution
