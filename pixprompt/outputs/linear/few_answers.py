"""Linear transforms for few labelled answers: discriminant analysis and ridge regression.

Smoothed tables of labels by class (naive Bayes) were tried as well: on bare labels of MobileNetV2 under one and five
views they read no better than regressions on the indicators of the labels, from 25 answers to 1,000.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from .folds import stratified_folds
from .form import LinearForm, principal_axes

__all__ = ["FACTORS", "Discriminant", "Ridge"]

FACTORS = tuple(2.0 ** (power / 2) for power in range(-8, 13))
"""By which logits are multiplied, so that their softmax says how likely they are right."""


@dataclass(frozen=True, eq=False)
class _Regularized(LinearForm):
    """A linear form whose strength and scale are chosen by the cross-entropy of held-out fifths.

    Attributes:
        strength: Of the regularisation that was chosen; 0 before.
    """

    strength: float = field(default=0.0, kw_only=True)

    strengths: ClassVar[Sequence[float]]

    def refit(self, outputs: Tensor, labels: Tensor) -> Self:
        """Learns from answers already received, the strength too; see `Transform.refit`."""
        return super(_Regularized, replace(self, strength=0.0)).refit(outputs, labels)

    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(self.seed))
        scores, labels = scores[order], labels[order]
        features, axes, center = principal_axes(scores)
        is_only = torch.bincount(labels)[labels] == 1  # a class is never missing from what is fitted
        folds = torch.where(is_only, -1, stratified_folds(labels))
        best, least = (self.strengths[0], 1.0), float("inf")
        for strength in self.strengths:
            logits = torch.zeros(len(labels), num_classes, dtype=torch.float64)
            for fold in sorted(set(folds[~is_only].tolist())):
                held_out = folds == fold
                weight, bias = self.estimate(features[~held_out], labels[~held_out], num_classes, strength)
                logits[held_out] = features[held_out] @ weight + bias
            for factor in FACTORS if not bool(is_only.all()) else ():
                loss = float(cross_entropy(factor * logits[~is_only], labels[~is_only]))
                if loss < least:
                    best, least = (strength, factor), loss
        strength, factor = best
        weight, bias = self.estimate(features, labels, num_classes, strength)
        weight = axes @ weight * factor
        return replace(self, strength=strength)._solved(weight, bias * factor - center @ weight)

    @staticmethod
    @abstractmethod
    def estimate(features: Tensor, labels: Tensor, num_classes: int, strength: float) -> tuple[Tensor, Tensor]:
        """Returns weight (R, P) and bias (P,) from features (N, R) and labels (N,)."""


@dataclass(frozen=True, eq=False)
class Discriminant(_Regularized):
    """Linear discriminant analysis, its covariance shrunk towards a multiple of the identity; 1 is the nearest mean.

    Reference: Friedman 1989, Regularized Discriminant Analysis.
    """

    kind: ClassVar[str] = "lda"
    strengths: ClassVar[Sequence[float]] = (1.0, 0.5, 0.2, 0.1, 0.05)

    @staticmethod
    def estimate(features: Tensor, labels: Tensor, num_classes: int, strength: float) -> tuple[Tensor, Tensor]:
        """Shrinks the covariance within classes by a strength in (0, 1]."""
        counts = torch.bincount(labels, minlength=num_classes).double()
        means = one_hot(labels, num_classes).double().T @ features / counts.unsqueeze(1)
        within = features - means[labels]
        covariance = within.T @ within / len(labels)
        level = covariance.diagonal().mean().clamp_min(1e-12) if features.shape[1] else covariance.sum()
        covariance = (1 - strength) * covariance + strength * level * torch.eye(len(covariance), dtype=means.dtype)
        weight = torch.linalg.solve(covariance, means.T)
        return weight, (counts / len(labels)).log() - (means.T * weight).sum(0) / 2


@dataclass(frozen=True, eq=False)
class Ridge(_Regularized):
    """Ridge regression on the indicators of the classes.

    Reference: Hoerl and Kennard 1970; Hastie et al., The Elements of Statistical Learning, 3.4.1 and 4.2.
    """

    kind: ClassVar[str] = "ridge"
    strengths: ClassVar[Sequence[float]] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)

    @staticmethod
    def estimate(features: Tensor, labels: Tensor, num_classes: int, strength: float) -> tuple[Tensor, Tensor]:
        """Penalizes the squared weight by a multiple of the mean squared length of the features."""
        targets = one_hot(labels, num_classes).double()
        center, share = features.mean(dim=0), targets.mean(dim=0)
        inner = (features - center).T @ (features - center)
        level = (features - center).square().sum(1).mean().clamp_min(1e-12)
        penalty = strength * level * torch.eye(len(inner), dtype=inner.dtype)
        weight = torch.linalg.solve(inner + penalty, (features - center).T @ (targets - share))
        return weight, share - center @ weight
