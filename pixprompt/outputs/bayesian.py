"""Bayesian label mappings: every source counts for every class, by how likely the class is given the source."""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core import RangeError, ShapeError
from .base import Setup, Transform
from .linear.few_answers import FACTORS, class_sums
from .linear.folds import fifths
from .mapping import count_answers

__all__ = ["SMOOTHING", "TOPS", "BayesianMappingPlus", "choose_top", "posterior_matrix", "top_sums"]

_log = logging.getLogger(__name__)
SMOOTHING = 1.0
TOPS = (1, 2, 5, 10, 20, 50, 100, 200)
_ENOUGH = 2000
_UNVALIDATED = 10
"""Sources that count where every class has a single answer, so that none can be held out."""


@dataclass(frozen=True, eq=False)
class _Bayesian(Transform):
    """Source scores (N, S) times a matrix (S, K) whose columns sum to 1.

    Attributes:
        matrix: (S, K) float32; None before the first `refit`.
        smoothing: Added to the total of each source.
    """

    matrix: Tensor | None
    smoothing: float = field(default=SMOOTHING, kw_only=True)

    fits: ClassVar[bool] = True
    refits_in_training: ClassVar[bool] = True
    constants: ClassVar[tuple[str, ...]] = ("smoothing",)

    def __post_init__(self) -> None:
        expected = (self.num_outputs, len(self.classes))
        if self.matrix is not None and tuple(self.matrix.shape) != expected:
            raise ShapeError(f"expected a matrix {expected}, got {tuple(self.matrix.shape)}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; see `make_output`."""
        constants: dict[str, Any] = dict(setup.constants)
        return cls(setup.classes, setup.spec.num_outputs, setup.spec.answer, None, **constants)

    @abstractmethod
    def _evidence(self, scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Returns how much each source was answered to each class, (S, K)."""

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        num_classes = len(self.classes)
        counts = torch.bincount(labels, minlength=num_classes)
        unseen = [name for name, count in zip(self.classes, counts.tolist(), strict=True) if count == 0]
        if unseen:
            level = logging.INFO if self.matrix is not None else logging.WARNING  # once is enough
            _log.log(level, "no labelled answers for %s; all sources speak for it alike", ", ".join(unseen))
        evidence = self._evidence(scores, labels, num_classes)
        return replace(self, matrix=posterior_matrix(evidence, self.smoothing).float())

    def _logits(self, scores: Tensor) -> Tensor:
        return scores if self.matrix is None else scores @ self.matrix


class BayesianMapping(_Bayesian):
    """Bayesian label mapping from counts of top answers.

    Reference: arXiv:2410.24018 (BLM).
    """

    kind: ClassVar[str] = "blm"

    def _evidence(self, scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        return count_answers(scores, labels, num_classes)


@dataclass(frozen=True, eq=False)
class BayesianMappingPlus(_Bayesian):
    """Bayesian label mapping from summed probabilities of the likeliest sources, whose number held-out answers decide.

    The public implementation takes the top int(0.15 K) with K the number of target classes, which is nothing for
    K <= 6 and a single source for K = 10. Here the number is the one of TOPS with the lowest cross-entropy on held-out
    fifths, for which no fixed one does: with 20 answers a class and no prompt (ResNet-18, three draws) that reads
    CIFAR-10 at 0.584, where 10 sources reach 0.584, 50 reach 0.568 and 15% of all, 150, 0.564; digits at 0.551, where
    they reach 0.440, 0.551 and 0.476.

    Sources that tie for the last place are left out together: on those an answer says nothing, as where it is a
    label or names a few of them only.

    Attributes:
        top: Sources that count; 0 to choose their number at every `refit`.
        chosen: The number that was taken last; 0 before.

    Reference: arXiv:2410.24018 (BLM+).
    """

    top: int = field(default=0, kw_only=True)
    chosen: int = field(default=0, kw_only=True)

    kind: ClassVar[str] = "blm+"
    constants: ClassVar[tuple[str, ...]] = ("smoothing", "top")

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        top = self.top or choose_top(scores, labels, len(self.classes), self.smoothing)
        return super(BayesianMappingPlus, replace(self, chosen=top))._fit(scores, labels)

    def _evidence(self, scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        return top_sums(scores, labels, num_classes, self.chosen)


def choose_top(scores: Tensor, labels: Tensor, num_classes: int, smoothing: float = SMOOTHING) -> int:
    """Returns the one of TOPS whose posterior reads held-out fifths best, by cross-entropy at the scale that fits best.

    Args:
        scores: (M, S), of which 2,000 are enough.
        labels: (M,) in 0..K-1.
        num_classes: K.
        smoothing: See `posterior_matrix`.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:_ENOUGH]
    scores, labels = scores[order], labels[order]
    parts = fifths(labels, 0)
    if not parts:
        return min(_UNVALIDATED, scores.shape[1])
    losses = {}
    held_out = torch.cat([labels[part] for part in parts])
    for top in (*(top for top in TOPS if top < scores.shape[1]), scores.shape[1]):
        top_values = _top_probabilities(scores, top)
        evidence = [class_sums(top_values[~part], labels[~part], num_classes).T for part in parts]
        logits = [
            scores[part] @ posterior_matrix(each, smoothing).float() for part, each in zip(parts, evidence, strict=True)
        ]
        losses[top] = min(float(cross_entropy(factor * torch.cat(logits), held_out)) for factor in FACTORS)
    return min(losses, key=losses.__getitem__)


def top_sums(scores: Tensor, labels: Tensor, num_classes: int, top: int) -> Tensor:
    """Returns the probabilities of each image's `top` likeliest sources, summed per class, (S, K) float64.

    Of sources that tie across the last place, none is taken.
    """
    return class_sums(_top_probabilities(scores, top), labels, num_classes).T


def _top_probabilities(scores: Tensor, top: int) -> Tensor:
    values, indices = scores.softmax(dim=1).topk(min(top + 1, scores.shape[1]), dim=1)
    if top < scores.shape[1]:
        values = torch.where(values > values[:, top:], values, 0.0)
    return torch.zeros_like(scores).scatter(1, indices, values).double()


def posterior_matrix(evidence: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Returns p(class | source), smoothed, with every column scaled to sum 1: (S, K) float64.

    A class without evidence gets 1/S everywhere: its logit is the mean source score. A source without evidence
    counts for no class, also when smoothing is 0.

    Args:
        evidence: (S, K), not negative.
        smoothing: Added to the total of each source; at least 0.

    Raises:
        RangeError: The smoothing is negative.
    """
    if smoothing < 0:
        raise RangeError(f"the smoothing must be at least 0, got {smoothing}.")
    # In the order in which a file holds a matrix: products of another order round otherwise.
    evidence = evidence.double().contiguous()
    totals = evidence.sum(dim=1, keepdim=True) + smoothing
    matrix = torch.where(evidence > 0, evidence / totals, 0.0)
    columns = matrix.sum(dim=0)
    return torch.where(columns > 0, matrix / columns, 1 / len(matrix))
