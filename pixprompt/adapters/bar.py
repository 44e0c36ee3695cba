"""BAR's prompt: colours around the image, as sigmoids of what is searched."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ..core import ConfigError
from ..templates import Over, PixelTemplate

__all__ = ["BarPrompter"]

_SCALE = 4.0
"""One over the slope of the sigmoid at 0."""


class BarPrompter:
    """An opaque prompt whose colours are sigmoid(4 x), one parameter per colour value; it starts grey.

    BAR's program is sigmoid(w) around the image; here w = 4 x, so that a step from the start moves pixels one to one.

    Args:
        template: Any geometry, the published one is "padding"; blend "over" with opacity 1.

    Raises:
        ConfigError: The template is not opaque.

    Reference: arXiv 2007.08714.
    """

    per_image = False

    def __init__(self, template: PixelTemplate) -> None:
        if not (isinstance(template.blend, Over) and template.blend.opacity == 1):
            raise ConfigError(f"BAR's prompt is opaque: it needs blend 'over' with opacity 1, got {template.blend}.")
        self.template = template

    @property
    def num_params(self) -> int:
        """P of the template."""
        return self.template.num_params

    def start(self, *, generator: Generator) -> Tensor:
        """Returns zeros: mid-grey."""
        return torch.zeros(self.num_params)

    def theta(self, x: Tensor, /) -> Tensor:
        """Returns the colours, (P,) float32 in [0, 1]."""
        return (_SCALE * x).sigmoid().float()

    def __call__(self, images: Tensor, x: Tensor, /) -> Tensor:
        """Returns the prompted images (N, 3, H, W), bit-equal to what the PNG of theta(x) gives."""
        return self.template(images, self.theta(x).to(images.device), quantize=True)
