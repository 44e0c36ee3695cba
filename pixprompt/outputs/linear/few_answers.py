"""Linear transforms in closed form: discriminant analysis and ridge regression.

Smoothed tables of labels by class (naive Bayes) were tried as well: on bare labels of MobileNetV2 under one and five
views they read no better than regressions on the indicators of the labels, from 25 answers to 1,000.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .folds import stratified_folds
from .form import LinearForm, principal_axes, row_blocks, scored_rows

__all__ = ["FACTORS", "Discriminant", "Ridge", "best_factor", "class_sums"]

FACTORS = tuple(2.0 ** (power / 2) for power in range(-8, 13))
"""Factors of which one is put on logits, so that their softmax says how likely they are right."""


@dataclass(frozen=True, eq=False)
class Discriminant(LinearForm):
    """Linear discriminant analysis, its covariance shrunk towards a multiple of the identity; 1 is the nearest mean.

    Strength and scale are those with the lowest cross-entropy of held-out fifths.

    Reference: Friedman 1989, Regularized Discriminant Analysis.
    """

    kind: ClassVar[str] = "lda"
    strengths: ClassVar[Sequence[float]] = (1.0, 0.5, 0.2, 0.1, 0.05)

    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(self.seed))
        scores, labels = scores[order], labels[order]
        features, axes, center = principal_axes(scores, self.views)
        is_only = torch.bincount(labels)[labels] == 1  # a class is never missing from what is fitted
        folds = torch.where(is_only, -1, stratified_folds(labels))
        groups = [folds == fold for fold in sorted(set(folds[~is_only].tolist()))]
        scaled = [
            (*best_factor(self._held_out(features, labels, groups, num_classes, strength)), strength)
            for strength in ((self.strength,) if self.strength else self.strengths)
        ]
        _, factor, strength = min(scaled, key=lambda each: each[0])
        weight, bias = self.estimate(features, labels, num_classes, strength)
        weight = axes @ weight * factor
        return replace(self, strength=strength)._solved(weight, bias * factor - center @ weight)

    def _held_out(
        self, features: Tensor, labels: Tensor, groups: Sequence[Tensor], num_classes: int, strength: float
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields logits and labels of each group, (N,) bool, read by what the others teach."""
        for group in groups:
            weight, bias = self.estimate(features[~group], labels[~group], num_classes, strength)
            scored = scored_rows(group, num_classes * len(groups), self.seed)
            own, targets = features[scored], labels[scored]
            for rows in row_blocks(len(own), num_classes):
                yield own[rows] @ weight + bias, targets[rows]

    @staticmethod
    def estimate(features: Tensor, labels: Tensor, num_classes: int, strength: float) -> tuple[Tensor, Tensor]:
        """Returns weight (R, P) and bias (P,) from features (N, R), labels (N,) and a strength in (0, 1]."""
        counts = torch.bincount(labels, minlength=num_classes).double()
        means = class_sums(features, labels, num_classes) / counts.unsqueeze(1)
        within = features - means[labels]
        covariance = within.T @ within / len(labels)
        level = covariance.diagonal().mean().clamp_min(1e-12) if features.shape[1] else covariance.sum()
        covariance = (1 - strength) * covariance + strength * level * torch.eye(len(covariance), dtype=means.dtype)
        weight = torch.linalg.solve(covariance, means.T)
        return weight, (counts / len(labels)).log() - (means.T * weight).sum(0) / 2


@dataclass(frozen=True, eq=False)
class Ridge(LinearForm):
    """Ridge regression on the indicators of the classes, in closed form.

    The penalty is a multiple of the mean squared length of the features. Strength and scale are those with the lowest
    cross-entropy of each answer read without itself.

    Reference: Hoerl and Kennard 1970; Hastie et al., The Elements of Statistical Learning, 3.4.1, 4.2 and 7.10.1.
    """

    kind: ClassVar[str] = "ridge"
    strengths: ClassVar[Sequence[float]] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)

    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        if self.strength and len(scores) <= scores.shape[1]:
            return self._solve_again(scores, labels, num_classes)
        features, axes, center = principal_axes(scores, self.views)  # centred and orthogonal: nothing is left to invert
        squares, share = features.square(), torch.bincount(labels, minlength=num_classes).double() / len(labels)
        level, scored = squares.sum(1).mean().clamp_min(1e-12), _scored(labels, num_classes, self.seed)
        moments = class_sums(features, labels, num_classes).T - features.sum(0).unsqueeze(1) * share
        scaled = []
        for strength in (self.strength,) if self.strength else self.strengths:
            shrinkage = 1 / (squares.sum(0) + strength * level)
            others = 1 / (1 - squares[scored] @ shrinkage - 1 / len(labels)).clamp_min(1e-9)
            weight = shrinkage.unsqueeze(1) * moments
            answers = _without_itself(features[scored], labels[scored], weight, share, others)
            scaled.append((*best_factor(answers), strength))
        _, factor, strength = min(scaled, key=lambda each: each[0])
        weight = axes @ (moments / (squares.sum(0) + strength * level).unsqueeze(1)) * factor
        return replace(self, strength=strength)._solved(weight, share * factor - center @ weight)

    def _solve_again(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        """Learns the same for the strength that it has, in the dual form: in a third of the time."""
        center, share = scores.mean(0), torch.bincount(labels, minlength=num_classes).double() / len(labels)
        centered, targets = scores - center, one_hot(labels, num_classes) - share
        gram = centered @ centered.T
        penalty = self.strength * gram.diagonal().mean().clamp_min(1e-12)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram + penalty * torch.eye(len(gram)).double()))
        weight, scored = centered.T @ (inverse @ targets), _scored(labels, num_classes, self.seed)
        others = 1 / (penalty * inverse.diagonal()[scored] - 1 / len(labels)).clamp_min(1e-9)
        factor = best_factor(_without_itself(centered[scored], labels[scored], weight, share, others))[1]
        weight = weight * factor
        return self._solved(weight, share * factor - center @ weight)


def _scored(labels: Tensor, num_classes: int, seed: int) -> Tensor:
    """Returns the answers that are read without themselves; the only one of a class cannot be."""
    return scored_rows(torch.bincount(labels)[labels] > 1, num_classes, seed)


def _without_itself(
    features: Tensor, labels: Tensor, weight: Tensor, share: Tensor, others: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields logits and labels of answers, each read by what the others teach.

    Args:
        features: (N, R).
        labels: (N,).
        weight: (R, P), fitted on all.
        share: (P,), the share of each class among the answers.
        others: (N,), 1 / (1 - leverage).
    """
    for rows in row_blocks(len(labels), len(share)):
        targets, factors = labels[rows], others[rows]
        logits = torch.addmm(share, features[rows], weight) * factors.unsqueeze(1)
        logits[torch.arange(len(targets)), targets] += 1 - factors  # 1 - (1 - fitted) * factor, where the label is
        yield logits, targets


def class_sums(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Returns the sums of values (N, S) over the images of each class, (K, S); a table (N, K) would be far larger."""
    return values.new_zeros(num_classes, values.shape[1]).index_add(0, labels, values)


def best_factor(answers: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Returns the lowest mean cross-entropy that a factor brings, and the factor; (inf, 1) without answers.

    Args:
        answers: Blocks of logits (n, K) and labels (n,).
    """
    factors = torch.tensor(FACTORS, dtype=torch.float64)
    count, losses = 0, torch.zeros_like(factors)
    for logits, labels in answers:
        logits = (logits - logits.amax(1, keepdim=True)).float()  # exponentials take a fourth of the time
        sums = logits.new_empty(len(FACTORS), len(logits))
        for first in (0, 1):
            shares = (FACTORS[first] * logits).exp_()
            # The next factor but one is twice as large: a square instead of another exponential.
            for place in range(first, len(FACTORS), 2):
                torch.sum(shares, 1, out=sums[place])
                shares.square_()
        own = logits.gather(1, labels.unsqueeze(1)).double().sum()
        count, losses = count + len(labels), losses + sums.double().log().sum(1) - factors * own
    return min(zip((losses / count).tolist(), FACTORS, strict=True)) if count else (float("inf"), 1.0)
