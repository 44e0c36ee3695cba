"""What a search without gradients moves: parameters x in, prompted 8-bit images out."""

from __future__ import annotations

from typing import Protocol

from torch import Generator, Tensor

from ..core import ShapeError
from ..templates import Basis, PixelTemplate

__all__ = ["InBasis", "Prompter"]


class Prompter(Protocol):
    """Lays a prompt on images, as a function of x (D,).

    A step dx moves the prompt's pixels by an RMS of about |dx| / sqrt(D), in [0, 1] pixel units.
    """

    @property
    def num_params(self) -> int:
        """D."""
        ...

    @property
    def per_image(self) -> bool:
        """Whether the prompt differs from image to image, so that no single PNG holds it."""
        ...

    def start(self, *, generator: Generator) -> Tensor:
        """Returns the first x, (D,) float32."""
        ...

    def __call__(self, images: Tensor, x: Tensor, /) -> Tensor:
        """Prompts images (N, 3, H, W) that hold 8-bit values k / 255; so do the prompted ones."""
        ...


class InBasis:
    """A pixel prompt that moves in a basis: theta(x) = project(base + basis(x)).

    Args:
        template: Where the prompt is and how it meets the canvas.
        basis: A basis of that template.
        base: Theta (P,) at the start, the colours from which the search begins.
    """

    per_image = False

    def __init__(self, template: PixelTemplate, basis: Basis, base: Tensor) -> None:
        if base.shape != (template.num_params,):
            raise ShapeError(f"expected a base theta ({template.num_params},), got {tuple(base.shape)}.")
        self.template, self.basis, self.base = template, basis, base

    @property
    def num_params(self) -> int:
        """D of the basis."""
        return self.basis.num_params

    def start(self, *, generator: Generator) -> Tensor:
        """Returns an x at which theta is the base."""
        return self.basis.start()

    def theta(self, x: Tensor, /) -> Tensor:
        """Returns the template's parameters, (P,) float32, that a PNG can hold."""
        return self.template.project((self.base.to(x.device) + self.basis(x)).float())

    def __call__(self, images: Tensor, x: Tensor, /) -> Tensor:
        """Returns the prompted images (N, 3, H, W), bit-equal to what the PNG of theta(x) gives."""
        return self.template(images, self.theta(x).to(images.device), quantize=True)
