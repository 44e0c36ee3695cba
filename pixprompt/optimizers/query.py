"""Zeroth-order optimisers: what they share, and how one is made by name.

Every size is a pixel RMS: a step dx of (D,) moves the prompt's pixels by |dx| / sqrt(D), in [0, 1] pixel units.

The defaults were chosen on a closed form that resembles the real loss: cross-entropy of 5 classes, linear in
tanh(x / 0.7) with a slope per image and class and a falling spectrum, mini-batches of 10, D of 50, 108 and 300,
budgets of 2,000, 10,000 and 40,000 queries, two or three seeds. Then on four new seeds, at 10,000 queries (47 to 100
generations), the held-out loss (1.44 at the start) with half the size, the default, and twice the size:

    name          lr    sigma  M            D = 50              D = 108             D = 300
    spsa          0.06  0.05   10           0.64  0.59  0.71    0.46  0.40  0.50    0.34  0.26  0.32
    spsa-uniform  0.06  0.05   10           0.67  0.62  0.81    0.47  0.38  0.49    0.38  0.33  0.43
    spsa-gc       0.02  0.05   10           0.63  0.61  0.73    0.43  0.37  0.47    0.34  0.30  0.38
    bar           0.06  0.03   11           0.59  0.54  0.62    0.34  0.27  0.36    0.24  0.17  0.23
    nes           0.03  0.05   10           0.68  0.63  0.78    0.58  0.48  0.58    0.48  0.37  0.46
    cma           -     0.1    4 + 3 ln D   0.54  0.65  1.05    0.43  0.39  0.65    0.28  0.29  0.32
    sep-cma       -     0.1    4 + 3 ln D   0.55  0.65  0.96    0.43  0.41  0.48    0.36  0.32  0.43

("Size" is lr, or sigma where there is no lr.) At equal queries, five pairs of spsa beat one pair in 8 of 9 settings;
for spsa-gc it made no clear difference. A small network on 8-bit digits under a smooth basis of 108 learned best at one
to three times these sizes. Elsewhere sigma between half and twice changes little, but for bar, whose bias grows with
it.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Required, TypedDict, Unpack

import torch
from torch import Generator, Tensor

from ..core import ConfigError, RangeError, ShapeError
from ..seeds import seeded
from .catalogue import QUERY_OPTIMIZERS
from .guard import RADIUS, Guard, Verdict, replace_nonfinite

__all__ = ["AskTell", "Defaults", "Options", "make_query_optimizer"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Defaults:
    """What an optimiser uses where its caller says nothing.

    Attributes:
        lr: Pixel RMS of the first step; None where the optimiser finds its own.
        sigma: Pixel RMS of a perturbation.
        population: Candidates per generation; None for 4 + floor(3 ln D).
        least: Fewest candidates that make sense.
        paired: Whether candidates come in pairs, so that their number must be even.
        constants: The published constants, of those that `AskTell` names; None for one that depends on the run.
    """

    lr: float | None
    sigma: float
    population: int | None
    least: int = 2
    paired: bool = False
    constants: Mapping[str, float | None] = field(default_factory=dict)


class Options(TypedDict, total=False):
    """The keyword arguments of `AskTell`, for those who pass them on."""

    generator: Generator | None
    generations: Required[int]
    lr: float | None
    sigma: float | None
    population: int | None
    radius: float | None
    decay: float | None
    decay_offset: float | None
    sigma_decay: float | None
    least_step: float | None
    momentum: float | None


class AskTell(ABC):
    """Ask and tell by turns: the checks and the guard that all zeroth-order optimisers share.

    Losses that are not finite count as the worst finite one of their generation; `Guard` says when the optimiser goes
    back to its last good center at half the step.

    Args:
        start: (D,) first center; D >= 1, finite.
        generator: Where every random number comes from; it is advanced. By default one that is seeded with 0.
        generations: How many generations are planned, >= 1: the decay of the step depends on it.
        lr: Pixel RMS of the first step, > 0; the optimiser's default when None.
        sigma: Pixel RMS of a perturbation, > 0; the optimiser's default when None.
        population: M, candidates per generation; the optimiser's default when None.
        radius: Pixel RMS from the start beyond which a center has diverged, > 0; RADIUS when None.
        constants: Published constants; where they are None, those of the optimiser's paper. `decay`: exponent of the
            fall of the step. `decay_offset`: generations that are added before (Spall's A). `sigma_decay`: exponent of
            the fall of sigma. `least_step`: share of the first step below which it does not fall. `momentum`: beta.

    Raises:
        ConfigError: An option makes no sense, alone or for this optimiser.
        ShapeError: `start` is not (D,).
        RangeError: `start` is not finite.
    """

    DEFAULTS: ClassVar[Defaults]

    def __init__(
        self,
        start: Tensor,
        *,
        generator: Generator | None = None,
        generations: int,
        lr: float | None = None,
        sigma: float | None = None,
        population: int | None = None,
        radius: float | None = None,
        **constants: float | None,
    ) -> None:
        if start.ndim != 1 or not start.numel():
            raise ShapeError(f"expected a start of shape (D,), got {tuple(start.shape)}; flatten it first.")
        self._center = start.detach().to("cpu", torch.float64, copy=True)
        if not self._center.isfinite().all():
            raise RangeError("expected a finite start, got nan or inf in it; begin at zeros.")
        self._generator = seeded(generator)
        self._generations = int(_positive("generations", generations))
        self._lr = self._step_size(lr)
        self._sigma = _positive("sigma", self.DEFAULTS.sigma if sigma is None else sigma)
        self.num_candidates = self._candidates(population)
        """M, the candidates of one generation; the same over a run."""
        self._constants = self._merged(constants)
        self._guard = Guard(self._center, _positive("radius", RADIUS if radius is None else radius))
        self._pending: Tensor | None = None
        self._generation = 0

    @property
    def center(self) -> Tensor:
        """The present estimate, (D,): what is validated."""
        return self._center.clone()

    @property
    def returns(self) -> int:
        """How often the guard went back to the last good center."""
        return self._guard.returns

    def ask(self) -> Tensor:
        """Returns the candidates of one generation, (M, D) float64, to be scored on the same images.

        Raises:
            ConfigError: The losses of the last `ask` have not been told.
        """
        if self._pending is not None:
            raise ConfigError("ask was called twice in a row; call tell with the losses of the first candidates.")
        self._pending, candidates = self._propose()
        return candidates

    def tell(self, losses: Sequence[float]) -> None:
        """Takes the M losses of the last `ask`, in its order.

        Raises:
            ConfigError: Nothing was asked.
            ShapeError: Another number of losses than candidates.
        """
        if self._pending is None:
            raise ConfigError("tell was called without an ask before it; call ask and score its candidates.")
        if len(losses) != self.num_candidates:
            raise ShapeError(f"expected {self.num_candidates} losses, one per candidate, got {len(losses)}.")
        values = replace_nonfinite(torch.tensor([float(loss) for loss in losses], dtype=torch.float64))
        pending, self._pending = self._pending, None
        verdict = self._guard.decide(values, self._center)
        if verdict is Verdict.LEARN:
            self._learn(pending, values)
            verdict = self._guard.check(self._center)
        self._generation += 1
        if verdict is Verdict.GO_BACK:
            _LOG.warning("generation %d diverged: back to the last good center at half the step", self._generation)
            self._center = self._guard.good
            self._retreat()

    @abstractmethod
    def _propose(self) -> tuple[Tensor, Tensor]:
        """Returns what `_learn` needs to know of this generation, and its candidates (M, D)."""

    @abstractmethod
    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        """Moves `_center`, from finite losses (M,)."""

    def _retreat(self) -> None:  # noqa: B027
        """Resets what led away from `_center`, the last good one again; by default there is nothing."""

    def _merged(self, constants: Mapping[str, float | None]) -> dict[str, float]:
        """Returns the constants: the caller's, over those of the paper."""
        published = self.DEFAULTS.constants
        own = {name: value for name, value in published.items() if value is not None}
        for name, value in constants.items():
            if value is None:
                continue
            if name not in published:
                names = ", ".join(published) or "none of these constants"
                raise ConfigError(f"{type(self).__name__} has no {name} ({value} given); it takes {names}.")
            if not 0 <= value < math.inf:
                raise ConfigError(f"expected {name} of at least 0, got {value}.")
            own[name] = value
        return own

    def _step_size(self, lr: float | None) -> float:
        if self.DEFAULTS.lr is None and lr is not None:
            raise ConfigError(f"{type(self).__name__} has no lr ({lr} given): it adapts its step; set sigma instead.")
        return _positive("lr", self.DEFAULTS.lr if lr is None else lr) if self.DEFAULTS.lr else 0.0

    def _candidates(self, population: int | None) -> int:
        least = self.DEFAULTS.least
        if population is None:
            return self.DEFAULTS.population or 4 + int(3 * math.log(self._center.numel()))
        if population < least or (self.DEFAULTS.paired and population % 2):
            even = "an even number of " if self.DEFAULTS.paired else ""
            raise ConfigError(f"expected {even}{least} or more candidates per generation, got {population}.")
        return population


def make_query_optimizer(name: str, start: Tensor, **options: Unpack[Options]) -> AskTell:
    """Builds a zeroth-order optimiser by name; other arguments and errors are those of `AskTell`.

    Args:
        name: A name of QUERY_OPTIMIZERS.

    Raises:
        UnknownName: There is no such optimiser.
    """
    return QUERY_OPTIMIZERS[name](start, **options)


def _positive(name: str, value: float | None) -> float:
    if value is None or not (0 < value < math.inf):
        raise ConfigError(f"expected {name} above 0, got {value}.")
    return value
