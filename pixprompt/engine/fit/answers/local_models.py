"""Local models in place of the queried one: resized, side by side, behind an encoder, with a head; gradients pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ....canvas import decode
from ....canvas.encoding import encode_jpeg
from ....core import Access, AnswerKind, Model, ModelSpec
from ....tensor_checks import to_images

__all__ = ["Degraded", "Mimic", "Resized", "SideBySide"]

_SCALES, _QUALITIES = (0.7, 1.0), (50, 95)
"""Of the sides of an image, and of a JPEG file: what lies between a user's image and a service's model."""


class Resized:
    """A model that takes images of another size than its own; gradients pass.

    Args:
        model: Local, with gradients.
        image_size: (height, width) of the images.
    """

    def __init__(self, model: Model, image_size: tuple[int, int]) -> None:
        self.model, self.spec = model, replace(model.spec, image_size=image_size)

    @property
    def access(self) -> Access:
        """Of the wrapped model."""
        return self.model.access

    def __call__(self, images: Tensor, /) -> Tensor:
        """Resizes the images (N, 3, H, W) where that is needed, and answers them."""
        size = self.model.spec.image_size
        if images.shape[2:] != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        return self.model(images)


class Mimic:
    """A local model with a linear head fitted to the target logits of the queried model.

    Args:
        model: Local, with gradients.
        weight: (F, K).
        bias: (K,).
    """

    access = Access.GRADIENTS

    def __init__(self, model: Model, weight: Tensor, bias: Tensor) -> None:
        self.model, self.weight, self.bias = model, weight, bias
        self.spec: ModelSpec = replace(
            model.spec,
            name=f"{model.spec.name}, head",
            num_outputs=len(bias),
            answer=AnswerKind.LOGITS,
            labels=None,
        )

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images with logits (N, K)."""
        return self.model(images) @ self.weight + self.bias


class SideBySide:
    """Several models that see the same images; their answers stand side by side.

    Args:
        models: Local, of one image size.
    """

    access = Access.GRADIENTS

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        specs = [model.spec for model in models]
        self.spec = replace(
            specs[0],
            name=" and ".join(spec.name for spec in specs),
            num_outputs=sum(spec.num_outputs for spec in specs),
            labels=None,
        )

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images (N, 3, H, W) with all outputs (N, sum of S)."""
        return torch.cat([model(images) for model in self.models], dim=1)


class Degraded:
    """A model behind a random resize and a JPEG encoder, as a service may have; gradients skip the encoder (TVP,
    arXiv 2404.11207, for what transfers; straight-through, arXiv 1308.3432).

    Args:
        model: Local, with gradients.
        generator: Draws scale and quality anew for every batch.
    """

    access = Access.GRADIENTS

    def __init__(self, model: Model, generator: torch.Generator) -> None:
        self.model, self.spec, self.generator = model, model.spec, generator

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers degraded images (N, 3, H, W)."""
        size, share = images.shape[2:], self._draw(_SCALES)
        smaller = [max(1, round(share * side)) for side in size]
        for sides in (smaller, size):
            images = interpolate(images, list(sides), mode="bilinear", align_corners=False, antialias=True)
        images = images.clamp(0, 1)
        pixels = (images.detach() * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        quality = round(self._draw(_QUALITIES))
        stored = np.stack([np.asarray(decode(encode_jpeg(each, quality=quality))) for each in pixels])
        return self.model(to_images(stored, str(images.device)) + (images - images.detach()))

    def _draw(self, limits: tuple[float, float]) -> float:
        low, high = limits
        return low + (high - low) * float(torch.rand((), generator=self.generator))
