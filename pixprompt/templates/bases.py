"""Bases: from few parameters to those of a template, which makes a search without gradients affordable.

Units: the parameters x of a basis are scaled so that a step dx moves the prompt's pixels by an RMS of |dx| / sqrt(D),
in [0, 1] pixel units. For the linear bases this holds for every dx, because their columns are orthogonal on the
template and each has a pixel RMS of 1 / sqrt(D); a step that is isotropic in x is isotropic in pixels.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Generator, Tensor

from ..core import ConfigError, ShapeError
from ..seeds import seeded
from .blends import Add
from .catalogue import BASES
from .template import PixelTemplate

__all__ = ["Basis", "BasisMaker", "Blocks", "Dct", "LowRank", "Pixels", "make_basis"]

_NEW = 0.3
"""A cosine joins the basis if at least this share of its length is not yet there.

On a 30-pixel frame of 224x224 the 36 cosines of 6x6 frequencies have a condition number of 303: 20 vary along the
frame, 12 across it as well, and 4 combinations nearly vanish on it. Isotropic steps in them would be far from
isotropic in pixels, so they are orthonormalised, which doubles what a direction finds of the loss's gradient
(ResNet-18 and MobileNetV2 on CIFAR-10); the 4, which would be blown up to fine patterns, stay out at 0.3.
"""
_KNOTS = 9


class Basis(Protocol):
    """A map from x (D,) to what is added to theta (P,)."""

    @property
    def num_params(self) -> int:
        """D."""
        ...

    def start(self) -> Tensor:
        """Returns an x (D,) float32 that contributes exactly 0."""
        ...

    def __call__(self, x: Tensor, /) -> Tensor:
        """Returns the contribution (P,) of x (D,), in its dtype and on its device."""
        ...


class BasisMaker(Protocol):
    """How every class of BASES is called."""

    def __call__(self, template: PixelTemplate, size: int | None, generator: Generator, /) -> Basis:
        """Builds it for a template; see `make_basis`."""
        ...


def make_basis(
    name: str, template: PixelTemplate, *, size: int | None = None, generator: Generator | None = None
) -> Basis:
    """Builds a basis from what users type.

    Args:
        name: A name of BASES.
        size: Frequencies per side (dct), blocks per side (blocks) or rank (low-rank); None takes its default.
        generator: Draws what is random about a basis: the first factor of low-rank, and nothing of the others. By
            default one that is seeded with 0.

    Raises:
        ConfigError: The size does not fit the template, or the basis has none.
        UnknownName: There is no basis of that name.
    """
    return BASES[name](template, size, seeded(generator))


class _Linear:
    """A basis that starts at zeros."""

    num_params: int

    def start(self) -> Tensor:
        """Returns zeros."""
        return torch.zeros(self.num_params)


class Pixels(_Linear):
    """Every parameter of the prompt on its own: D = P.

    Args:
        size: Must be None.
    """

    def __init__(self, template: PixelTemplate, size: int | None, generator: Generator) -> None:
        if size is not None:
            raise ConfigError(f"basis 'pixels' has no size to choose, got {size}; leave it out.")
        self.num_params, self._units = template.num_params, _Units(template)

    def __call__(self, x: Tensor, /) -> Tensor:
        """Returns x in the units of theta."""
        return self._units(_checked(x, self.num_params).view(self._units.channels, -1))


class Dct(_Linear):
    """Low-frequency cosines over the template's rectangle, per channel.

    The products cos(pi (i + 1/2) a / H) cos(pi (j + 1/2) b / W), a, b < size, restricted to the template and made
    orthonormal there from the lowest frequency to the highest (Gram-Schmidt); what is nearly a combination of lower
    ones is left out. D = channels * size^2 on a rectangle, 3 * 32 for a 30-pixel frame of 224x224 at size 6.

    Args:
        size: Frequencies per side, 6 by default.
    """

    def __init__(self, template: PixelTemplate, size: int | None, generator: Generator) -> None:
        rows, columns, sides = template_places(template)
        size = _checked_size("dct", "frequencies per side", size, 6, min(sides))
        waves = cosines(sides[0], size)[rows].unsqueeze(2) * cosines(sides[1], size)[columns].unsqueeze(1)
        low_first = sorted((a * a + b * b, a, b) for a in range(size) for b in range(size))
        axes = _orthonormal(torch.stack([waves[:, a, b] for _, a, b in low_first], dim=1))
        # A column of one channel is spread over P = channels * num_pixels numbers: RMS 1 / sqrt(D).
        self._columns = axes * math.sqrt(len(axes) / axes.shape[1])
        self._units = _Units(template)
        self.num_params = self._units.channels * axes.shape[1]

    def __call__(self, x: Tensor, /) -> Tensor:
        """Returns the sum of the cosines."""
        weights = _checked(x, self.num_params).view(self._units.channels, -1)
        return self._units(weights @ self._columns.to(x).T)


class Blocks(_Linear):
    """One colour per block of a grid over the template's rectangle, of those that touch the template.

    D = channels * blocks: 3 * 24 for a 30-pixel frame of 224x224 at size 7, whose blocks are 32 pixels wide.

    Args:
        size: Blocks per side, 7 by default.
    """

    def __init__(self, template: PixelTemplate, size: int | None, generator: Generator) -> None:
        rows, columns, (height, width) = template_places(template)
        size = _checked_size("blocks", "blocks per side", size, 7, min(height, width))
        block = (rows * size // height) * size + columns * size // width
        _, self._block, pixels = torch.unique(block, return_inverse=True, return_counts=True)
        # Equal RMS: the fewer pixels a block has, the further a step moves them.
        self._gain = (len(block) / (len(pixels) * pixels.double())).sqrt()
        self._units = _Units(template)
        self.num_params = self._units.channels * len(pixels)

    def __call__(self, x: Tensor, /) -> Tensor:
        """Returns the colour of each pixel's block."""
        colors = _checked(x, self.num_params).view(self._units.channels, -1) * self._gain.to(x)
        return self._units(colors[:, self._block.to(x.device)])


class LowRank:
    """A product B A of two factors per channel, over the template's rectangle: bilinear in x = (B, A).

    LoR-VP's plane (H, rank)(rank, W) (arXiv 2502.00896), with each factor at 9 knots per side and linear between
    them, because its own factors are thousands of parameters. D = channels * rank * (9 + 9). As there, B starts
    at zero and A at random: the contribution is 0, and B can move at once, A as soon as B has. In the mean over all
    directions a step from the start moves the pixels by an RMS of |dx| / sqrt(D).

    Args:
        size: The rank, 2 by default.
        generator: Draws A.
    """

    def __init__(self, template: PixelTemplate, size: int | None, generator: Generator) -> None:
        self._rows, self._columns, (height, width) = template_places(template)
        self._row_hats, self._column_hats = _hats(height), _hats(width)
        limit = min(self._row_hats.shape[1], self._column_hats.shape[1])
        self.rank = _checked_size("low-rank", "ranks", size, 2, limit)
        self._units = _Units(template)
        channels, knots = self._units.channels, self._column_hats.shape[1]
        self._start = torch.zeros(channels, self.rank, self._row_hats.shape[1] + knots)
        self._start[:, :, -knots:] = torch.randn(channels, self.rank, knots, generator=generator)
        self.num_params = self._start.numel()
        lines = (self._start[:, :, -knots:].double() @ self._column_hats.T).square().sum(dim=1).mean(dim=0)
        # A step in B, squared: the mean over the template's pixels, if the gain were 1.
        power = (self._row_hats.square().sum(dim=1)[self._rows] * lines[self._columns]).mean()
        self._gain = float(power.rsqrt())

    def start(self) -> Tensor:
        """Returns B = 0 and A from N(0, 1)."""
        return self._start.flatten().clone()

    def __call__(self, x: Tensor, /) -> Tensor:
        """Returns the product at the template's pixels."""
        factors = _checked(x, self.num_params).view(self._start.shape)
        knots = self._row_hats.shape[1]
        rows = factors[:, :, :knots] @ self._row_hats.to(x).T
        columns = self._gain * (factors[:, :, knots:] @ self._column_hats.to(x).T)
        plane = rows.transpose(1, 2) @ columns
        return self._units(plane[:, self._rows.to(x.device), self._columns.to(x.device)])


class _Units:
    """From pixel units (channels, num_pixels) to theta (P,): the parameters of `add` may have units of their own."""

    def __init__(self, template: PixelTemplate) -> None:
        self.channels = template.blend.channels
        blend = template.blend
        self._unit = torch.tensor(blend.unit if isinstance(blend, Add) else (1.0,) * self.channels).unsqueeze(1)

    def __call__(self, values: Tensor) -> Tensor:
        return (values / self._unit.to(values)).flatten()


def template_places(template: PixelTemplate) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Rows and columns of the template's pixels in the smallest rectangle that holds them, and its sides.

    A frame's rectangle is the canvas. A patch has its own, on which the cosines of a canvas would all be constant.
    """
    places = template.geometry.pixels(None)
    width = template.geometry.size[1]
    rows, columns = places // width, places % width
    rows, columns = rows - rows.min(), columns - columns.min()
    return rows, columns, (int(rows.max()) + 1, int(columns.max()) + 1)


def cosines(side: int, count: int) -> Tensor:
    """Returns cos(pi (i + 1/2) a / side) for i < side and a < count, (side, count) float64."""
    middles = torch.arange(side, dtype=torch.float64) + 0.5
    return (math.pi / side * middles.unsqueeze(1) * torch.arange(count)).cos()


def _hats(side: int) -> Tensor:
    """Linear interpolation from knots, the first and last at the ends: (side, knots)."""
    knots = min(_KNOTS, side)
    if knots == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    places = torch.arange(side, dtype=torch.float64) * ((knots - 1) / (side - 1))
    return (1 - (places.unsqueeze(1) - torch.arange(knots)).abs()).clamp_min(0)


def _orthonormal(columns: Tensor) -> Tensor:
    """Gram-Schmidt in the given order, without the columns of which little is new: (n, k) -> (n, at most k)."""
    axes = columns[:, :0]
    for column in columns.T:
        rest = column - axes @ (axes.T @ column)
        if float(rest.norm()) > _NEW * float(column.norm()):
            axes = torch.cat([axes, (rest / rest.norm()).unsqueeze(1)], dim=1)
    return axes


def _checked(x: Tensor, num_params: int) -> Tensor:
    if x.shape != (num_params,):
        raise ShapeError(f"expected x ({num_params},), got {tuple(x.shape)}.")
    return x


def _checked_size(name: str, what: str, size: int | None, default: int, limit: int) -> int:
    if size is None:
        return min(default, limit)
    if not 1 <= size <= limit:
        raise ConfigError(f"basis {name!r} can have 1..{limit} {what} on this template, got {size}.")
    return size
