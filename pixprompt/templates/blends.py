"""How a template meets the canvas: `add` and `over`, in the arithmetic of the PNG.

With `quantize` both compute exactly the whole 8-bit values that `Prompt.overlay` computes from the saved file: all
intermediate values are integers below 2**24, which float32 holds without error, and no rounding ties occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Generator, Tensor

from ..core import ConfigError, RangeError
from .catalogue import STARTS
from .rounding import clamp_through, round_through

__all__ = ["Add", "Blend", "Over"]


class Blend(Protocol):
    """Turns parameters, one column per prompt pixel, into prompted images and into PNG pixels."""

    @property
    def name(self) -> str:
        """A name of `prompt.BLENDS`."""
        ...

    @property
    def channels(self) -> int:
        """Learned parameters per prompt pixel."""
        ...

    @property
    def delta_scale(self) -> float | None:
        """See `Prompt.delta_scale`."""
        ...

    @property
    def starts_blank(self) -> bool:
        """Whether the first prompt changes no image."""
        ...

    def init(self, num_pixels: int, *, generator: Generator) -> Tensor:
        """Returns the first parameters, (channels, num_pixels)."""
        ...

    def project(self, plane: Tensor) -> Tensor:
        """Returns the nearest parameters that a PNG can hold, (channels, ...)."""
        ...

    def composite(self, images: Tensor, plane: Tensor, *, quantize: bool) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] under a plane (channels, H, W) -> prompted images."""
        ...

    def pixels(self, plane: Tensor) -> Tensor:
        """Returns the RGBA values of the plane, (4, H, W) uint8."""
        ...

    def parameters(self, rgba: Tensor, delta_scale: float | None) -> Tensor:
        """RGBA values (4, H, W) uint8 of a file -> the plane (channels, H, W) that shows them."""
        ...


@dataclass(frozen=True)
class Add:
    """clamp(x + delta, 0, 1), with a signed delta.

    Attributes:
        unit: What a parameter of 1 adds to R, G and B, in [0, 1] pixel units. The standard deviations of a model's
            normalisation make the parameters those of the VP paper (arXiv 2203.17274).
        start: "flat" starts at delta 0, "normal" at N(0, 1) parameters, as the VP paper does.
        delta_scale: The largest |delta| that the PNG can hold.
    """

    unit: tuple[float, float, float] = (1.0, 1.0, 1.0)
    start: str = "flat"
    delta_scale: float = 1.0
    name: ClassVar[str] = "add"
    channels: ClassVar[int] = 3

    def __post_init__(self) -> None:
        _check_start(self.start)
        if not 1 / 255 <= self.delta_scale <= 1:
            raise RangeError(f"delta_scale must lie in [1/255, 1], got {self.delta_scale}.")

    @property
    def starts_blank(self) -> bool:
        """A delta of 0 changes nothing."""
        return self.start == "flat"

    def init(self, num_pixels: int, *, generator: Generator) -> Tensor:
        """Returns zeros or N(0, 1), (3, num_pixels)."""
        if self.start == "normal":
            return torch.randn(3, num_pixels, generator=generator)
        return torch.zeros(3, num_pixels)

    def delta(self, plane: Tensor) -> Tensor:
        """Returns the delta in pixel units, neither clamped nor rounded."""
        return plane * plane.new_tensor(self.unit).view(3, *(1,) * (plane.dim() - 1))

    def project(self, plane: Tensor) -> Tensor:
        """Limits |delta| to delta_scale."""
        limit = self.delta_scale / plane.new_tensor(self.unit).view(3, *(1,) * (plane.dim() - 1))
        return plane.clamp(-limit, limit)

    def composite(self, images: Tensor, plane: Tensor, *, quantize: bool) -> Tensor:
        """Adds and clamps; with `quantize` in whole 8-bit steps."""
        if not quantize:
            delta = clamp_through(self.delta(plane), -self.delta_scale, self.delta_scale)
            return clamp_through(images + delta, 0.0, 1.0)
        # float64, and in this order, as `prompt.pixel_delta` does it
        steps = round_through(self._codes(plane).double() * (self.delta_scale * 255.0) / 127.0).to(images.dtype)
        return clamp_through((images * 255).round() + steps, 0.0, 255.0) / 255

    def pixels(self, plane: Tensor) -> Tensor:
        """Returns codes + 128 and full alpha."""
        codes = (self._codes(plane.detach()) + 128).to(torch.uint8)
        return torch.cat([codes, torch.full_like(codes[:1], 255)])

    def parameters(self, rgba: Tensor, delta_scale: float | None) -> Tensor:
        """Returns codes / 127 * delta_scale of the file, in units of the parameters."""
        delta = (rgba[:3].float() - 128) / 127 * (delta_scale or self.delta_scale)
        return delta / torch.tensor(self.unit).view(3, 1, 1)

    def _codes(self, plane: Tensor) -> Tensor:
        return round_through(clamp_through(self.delta(plane) / self.delta_scale, -1.0, 1.0) * 127)


@dataclass(frozen=True)
class Over:
    """Alpha compositing, (1 - a) x + a c.

    Attributes:
        opacity: a in (0, 1] for all prompt pixels, or None to learn one a per pixel (from 0.5).
        start: "flat" starts with mid-grey colours, "normal" with N(0.5, 0.25) clamped to [0, 1].
    """

    opacity: float | None = 1.0
    start: str = "flat"
    name: ClassVar[str] = "over"
    delta_scale: ClassVar[None] = None
    starts_blank: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_start(self.start)
        if self.opacity is not None and not 1 / 255 <= self.opacity <= 1:
            raise RangeError(f"opacity must lie in [1/255, 1], or be 'learned'; got {self.opacity}.")

    @property
    def channels(self) -> int:
        """Three colours, and the opacity where it is learned."""
        return 4 if self.opacity is None else 3

    def init(self, num_pixels: int, *, generator: Generator) -> Tensor:
        """Returns colours, and opacities of 0.5 where they are learned."""
        plane = torch.full((self.channels, num_pixels), 0.5)
        if self.start == "normal":
            plane[:3] += 0.25 * torch.randn(3, num_pixels, generator=generator)
        return plane.clamp(0, 1)

    def project(self, plane: Tensor) -> Tensor:
        """Limits colours and opacities to [0, 1]."""
        return plane.clamp(0, 1)

    def composite(self, images: Tensor, plane: Tensor, *, quantize: bool) -> Tensor:
        """Composites; with `quantize` in whole 8-bit values."""
        values = clamp_through(plane, 0.0, 1.0)
        if not quantize:
            alpha = values[3:] if self.opacity is None else self.opacity
            return (1 - alpha) * images + alpha * values[:3]
        values = round_through(values * 255)
        alpha = values[3:] if self.opacity is None else round(self.opacity * 255)
        mixed = values[:3] * alpha + (images * 255).round() * (255 - alpha)
        return round_through(mixed / 255) / 255

    def pixels(self, plane: Tensor) -> Tensor:
        """Returns colours and opacities as 8-bit values."""
        values = (plane.detach().clamp(0, 1) * 255).round().to(torch.uint8)
        if self.opacity is None:
            return values
        return torch.cat([values, torch.full_like(values[:1], round(self.opacity * 255))])

    def parameters(self, rgba: Tensor, delta_scale: float | None) -> Tensor:
        """Returns colours, and opacities where they are learned, in [0, 1]."""
        return rgba[: self.channels].float() / 255


def _check_start(start: Any) -> None:
    if start not in STARTS:
        raise ConfigError(f"start must be one of {', '.join(STARTS)}, got {start!r}.")
