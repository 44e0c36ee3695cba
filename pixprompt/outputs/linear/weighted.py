"""A few sources for each class, with learned weights: between a label mapping and a linear head."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ...core import AnswerKind, RangeError
from ..base import CLASSIFIER, Setup
from ..bayesian import posterior_matrix, top_sums
from .form import LinearForm
from .head import choose_strength, logistic_regression

__all__ = ["WeightedSources"]

_COUNTED = 50
"""Likeliest sources of an answer that count for its class."""


@dataclass(frozen=True, eq=False)
class WeightedSources(LinearForm):
    """Each class reads its best sources with weights that are learned.

    The sources of a class are those with the largest p(class | source) of a Bayesian label mapping; one may serve
    several classes. Their weights are those of a logistic regression with an L2 penalty, chosen as that of "linear".

    Attributes:
        sources: Number of sources that each class reads.

    Reference: several sources per class, averaged, are arXiv 2007.08714 (BAR, multi-label mapping) and 2310.08381
    (AutoVP).
    """

    sources: int = field(default=20, kw_only=True)

    kind: ClassVar[str] = "weighted"
    constants: ClassVar[tuple[str, ...]] = ("sources",)
    answers: ClassVar[frozenset[AnswerKind]] = CLASSIFIER

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; see `make_output`."""
        constants: dict[str, Any] = dict(setup.constants)
        mapping = replace(super().make(setup), **constants)
        if mapping.sources < 1:
            raise RangeError(f"a class reads 1 or more sources, got {mapping.sources}.")
        return mapping

    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        posterior = posterior_matrix(top_sums(scores, labels, num_classes, _COUNTED))
        best = posterior.topk(min(self.sources, len(posterior)), dim=0).indices
        mask = torch.zeros_like(posterior).scatter(0, best, 1.0)
        used = mask.any(dim=1)
        center = scores.mean(dim=0)
        scale = (scores - center)[:, used].std(unbiased=False).clamp_min(1e-12)
        features, mask = (scores - center)[:, used] / scale, mask[used]
        strength = self.strength or choose_strength(features, labels, num_classes, self.seed, mask=mask)
        narrow, bias = logistic_regression(features, labels, num_classes, strength=strength, mask=mask)
        weight = torch.zeros_like(posterior)
        weight[used] = narrow / scale
        return replace(self, strength=strength)._solved(weight, bias - center @ weight)
