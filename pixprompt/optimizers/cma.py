"""CMA-ES (Hansen's tutorial, arXiv 1604.00772) and separable CMA-ES (Ros and Hansen 2008), by the `cmaes` library."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor

from ..core import ConfigError
from .query import AskTell, Defaults, Options

__all__ = ["MAX_FULL", "Cma", "SepCma"]

MAX_FULL = 1000
"""The most parameters of full CMA-ES: a generation of 1,000 costs 1 s and 0.5 GB, one of 2,000 ten times that."""


class _Library(AskTell):
    """Candidates come from the library and losses go to it; its mean is the center.

    A return of the guard puts the mean back, halves the standard deviation and forgets both evolution paths; what was
    learned about the shape stays. The standard deviation never exceeds the guard's radius.
    """

    def __init__(self, start: Tensor, **options: Unpack[Options]) -> None:
        super().__init__(start, **options)
        seed = int(torch.randint(2**31 - 1, (), generator=self._generator))
        self._library = self._make(seed)

    @abstractmethod
    def _make(self, seed: int) -> Any:
        """Returns the library's object."""

    def _propose(self) -> tuple[Tensor, Tensor]:
        candidates = torch.from_numpy(np.stack([self._library.ask() for _ in range(self.num_candidates)]))
        return candidates, candidates.clone()

    def _learn(self, pending: Tensor, losses: Tensor) -> None:
        self._library.tell(list(zip(pending.numpy(), losses.tolist(), strict=True)))
        self._library._sigma = min(self._library._sigma, self._guard.radius)
        self._center = torch.from_numpy(self._library.mean.copy())

    def _retreat(self) -> None:
        library = self._library
        library._mean = self._center.numpy().copy()
        library._sigma = library._sigma / 2
        library._p_sigma = np.zeros_like(library._p_sigma)
        library._pc = np.zeros_like(library._pc)


class Cma(_Library):
    """CMA-ES with the full covariance."""

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=None, sigma=0.1, population=None, least=4)

    def _make(self, seed: int) -> Any:
        from cmaes import CMA

        if self._center.numel() > MAX_FULL:
            raise ConfigError(
                f"cma holds a square matrix and takes at most {MAX_FULL} parameters, got {self._center.numel()}; "
                "use sep-cma, or a smaller basis."
            )
        mean = self._center.numpy().copy()
        return CMA(mean=mean, sigma=self._sigma, seed=seed, population_size=self.num_candidates)


class SepCma(_Library):
    """CMA-ES with a diagonal covariance: linear in D; it learns no correlation between parameters."""

    DEFAULTS: ClassVar[Defaults] = Defaults(lr=None, sigma=0.1, population=None, least=4)

    def _make(self, seed: int) -> Any:
        from cmaes import SepCMA

        if self._center.numel() < 2:
            raise ConfigError("sep-cma needs 2 parameters or more, got 1; use cma.")
        mean = self._center.numpy().copy()
        return SepCMA(mean=mean, sigma=self._sigma, seed=seed, population_size=self.num_candidates)
