"""Models that answer the same image differently: how much, what to do about it, and whether they have changed since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...core import RangeError, ShapeError

__all__ = ["Noise", "drifted", "measure_noise", "repeats"]

_TOLERANCE = 1e-4
"""Of the spread between images: kernels that sum in another order differ by less, answers that differ by more."""
_TOLERABLE = 0.1
_DRAWS = 999


@dataclass(frozen=True)
class Noise:
    """How much answers to the same image differ.

    Attributes:
        differing: Share of the images whose two answers differ by more than a float32 rounding.
        within: Variance of answers to the same image, summed over the columns.
        between: Variance between images without that noise, summed over the columns; 0 where noise drowns it.
    """

    differing: float
    within: float
    between: float

    @property
    def share(self) -> float:
        """The part of the variance of single answers that is noise, in [0, 1]."""
        return self.within / (self.within + self.between) if self.within else 0.0


def measure_noise(
    first: Tensor, second: Tensor, *, transform: Callable[[Tensor], Tensor] = lambda outputs: outputs
) -> Noise:
    """Compares two queries of the same images (one-way analysis of variance with random effects).

    Args:
        first: (N, S), N at least 2.
        second: (N, S), of the same images.
        transform: From answers to what the noise should be measured on: log-scores, target logits or losses, (N, ...).

    Raises:
        ShapeError: The shapes differ, or there are fewer than two images.
    """
    _check(first, second)
    differing = float(_differ(first, second).double().mean())
    one, two = (transform(outputs).reshape(len(outputs), -1).double() for outputs in (first, second))
    within = float((one - two).square().sum()) / 2 / len(one)
    variance_of_means = float(((one + two) / 2).var(dim=0).sum())  # expected: between + within / 2
    return Noise(differing, within if differing else 0.0, max(0.0, variance_of_means - within / 2))


def repeats(noise: Noise, *, images: int, num_left: int | None, most: int = 4) -> int:
    """Returns how often to query each labelled image, averaging the answers.

    N images queried k times give a mean of variance (between + within / k) / N, so for N k queries fresh images always
    beat repeats: a search draws fresh images and never repeats. Repeats pay for the head and for validation when all
    labelled images are queried and queries are left: as many as bring the noise down to a tenth of the variance.

    Args:
        images: How many images would be queried again.
        num_left: Queries left for that; None for no limit.
        most: The answer is never larger.

    Returns:
        1 to `most`.

    Raises:
        RangeError: `most` is below 1.
    """
    if most < 1:
        raise RangeError(f"most must be at least 1, got {most}.")
    bound = noise.between * _TOLERABLE / (1 - _TOLERABLE)  # for within / k
    repeats_wanted = next((k for k in range(1, most + 1) if noise.within <= bound * k), most)
    affordable = most if num_left is None or images == 0 else 1 + max(0, num_left) // images
    return min(repeats_wanted, affordable)


def drifted(first: Tensor, second: Tensor, after: Tensor, *, generator: Generator, level: float = 0.05) -> bool:
    """Says whether answers to the same images have moved by more than the noise explains.

    Without drift the three answers to an image are exchangeable, so a permutation test is exact: in each of 999 draws,
    any of the three plays the later one, image by image. Two statistics are tried, each at half the level: the length
    of the mean shift, which sees all images move together, and the mean squared shift, which sees each image move its
    own way. Columns are scaled by their noise and images by the spread of their three answers, so that the noisiest do
    not drown the others. Differences as small as float32 roundings are none. Even where the first two answers agree
    throughout, it takes four images that changed: three coincidences have a chance of 1 in 27.

    Args:
        first: (N, S) answers at the beginning.
        second: (N, S), of the same images, queried again at the beginning.
        after: (N, S), queried at the end.
        generator: For the draws, on the CPU.
        level: Largest share of false alarms.

    Raises:
        ShapeError: The shapes differ, or there are fewer than two images.
    """
    _check(first, second)
    _check(first, after)
    if not bool((_differ(first, after) & _differ(second, after)).any()):
        return False
    answers = torch.stack([after, first, second]).double().cpu()
    shifts = answers - answers.mean(dim=0)  # of each, towards the other two, (3, N, S)
    shifts = _divided(shifts, shifts.square().mean(dim=(0, 1), keepdim=True).sqrt())
    shifts = _divided(shifts, shifts.square().sum(dim=(0, 2), keepdim=True).sqrt())
    num_images = len(first)
    chosen = torch.randint(0, 3, (_DRAWS, num_images), generator=generator)
    chosen = torch.cat([torch.zeros(1, num_images, dtype=torch.int64), chosen])  # first what was observed
    weights = torch.nn.functional.one_hot(chosen, 3).transpose(1, 2).reshape(len(chosen), -1).double()
    means = weights @ shifts.reshape(3 * num_images, -1)
    for statistic in (means.square().sum(dim=1), weights @ shifts.square().sum(dim=2).reshape(-1)):
        # A hair below the observed value: equal sums in another order must count as equal.
        p_value = float((statistic >= statistic[0] * (1 - 1e-9)).double().mean())
        if p_value <= level / 2:
            return True
    return False


def _divided(values: Tensor, scale: Tensor) -> Tensor:
    return torch.where(scale > 0, values / scale, 0.0)


def _differ(first: Tensor, second: Tensor) -> Tensor:
    """Marks the images, (N,), whose answers differ by more than rounding."""
    spread = float(torch.stack([first, second]).double().std(dim=1).max())
    return (first.double() - second.double()).abs().flatten(1).amax(dim=1) > _TOLERANCE * spread


def _check(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ShapeError(
            f"expected two answers (N, S) of the same images, N at least 2, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
