"""What transforms that are linear in the scores share: the form, and the axes in which they are fitted."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ...core import AnswerKind, ShapeError
from ..base import CLASSIFIER, Setup, Transform

__all__ = ["LinearForm", "principal_axes", "row_blocks", "scored_rows"]

_log = logging.getLogger(__name__)
_BLOCK = 2**17
"""Entries of a block of logits."""
_SCORED = 2**25
"""Logits by which a strength or a scale is chosen: those of 3,355 answers where there are 10,000 classes."""


@dataclass(frozen=True, eq=False)
class LinearForm(Transform):
    """Logits that are linear in the scores; the subclasses differ in how they learn weight and bias.

    A class without examples gets a logit one below the lowest of the others.

    Attributes:
        seed: Decides the held-out folds.
        present: Indices of the P classes that had examples.
        weight: (V * S, P) float32, in units of the outputs as they come.
        bias: (P,) float32.
        strength: Strength of the regularization that was chosen; 0 before.
    """

    seed: int
    present: tuple[int, ...] | None
    weight: Tensor | None
    bias: Tensor | None
    strength: float = field(default=0.0, kw_only=True)

    answers: ClassVar[frozenset[AnswerKind]] = CLASSIFIER | {AnswerKind.EMBEDDINGS}
    fits: ClassVar[bool] = True
    refits_in_training: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.weight is None or self.bias is None or self.present is None:
            return
        expected = (self.views * self.num_outputs, len(self.present))
        if tuple(self.weight.shape) != expected or tuple(self.bias.shape) != expected[1:]:
            raise ShapeError(
                f"expected a weight {expected} and a bias {expected[1:]}, got {tuple(self.weight.shape)} and "
                f"{tuple(self.bias.shape)}."
            )
        if sorted(set(self.present) & set(range(len(self.classes)))) != list(self.present) or not self.present:
            raise ShapeError(f"expected ascending class indices in 0..{len(self.classes) - 1}, got {self.present}.")

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; see `make_output`."""
        return cls(setup.classes, setup.spec.num_outputs, setup.spec.answer, setup.seed, None, None, None)

    def refit(self, outputs: Tensor, labels: Tensor) -> Self:
        """Learns from answers already received, the strength too; see `Transform.refit`."""
        return super(LinearForm, replace(self, strength=0.0)).refit(outputs, labels)

    def refit_alike(self, outputs: Tensor, labels: Tensor) -> Self:
        """Learns from other answers with the strength that it has: many times as fast as `refit`.

        For heads that are fitted again and again while answers come in.
        """
        return super().refit(outputs, labels)

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        has_examples = torch.bincount(labels, minlength=len(self.classes)) > 0
        present = tuple(has_examples.nonzero().flatten().tolist())
        compact = (has_examples.cumsum(dim=0) - 1)[labels]
        if len(present) < len(self.classes):
            absent = [name for k, name in enumerate(self.classes) if k not in present]
            level = logging.INFO if self.weight is not None else logging.WARNING  # once is enough
            _log.log(level, "no labelled answers for %s; the head will never choose it", ", ".join(absent))
        return replace(self._solve(scores.double(), compact, len(present)), present=present)

    @abstractmethod
    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        """Learns weight and bias from scores (N, V * S) float64 and labels (N,) of P classes, each of them present."""

    def _solved(self, weight: Tensor, bias: Tensor) -> Self:
        """Returns the same transform with a weight and a bias, whose classes are not yet known."""
        # The classes come last: a weight that does not fit them would be refused.
        return replace(self, present=tuple(range(weight.shape[1])), weight=weight.float(), bias=bias.float())

    def _logits(self, scores: Tensor) -> Tensor:
        if self.weight is None or self.bias is None or self.present is None:
            return scores
        logits = scores @ self.weight + self.bias
        if len(self.present) == len(self.classes):
            return logits
        lowest = (logits.amin(dim=1, keepdim=True) - 1).expand(-1, len(self.classes))
        return lowest.index_copy(1, torch.tensor(self.present, device=scores.device), logits)


def row_blocks(num_rows: int, num_classes: int) -> Iterator[slice]:
    """Yields rows whose logits fit into little memory; those of all answers would not where classes are many."""
    size = max(1, _BLOCK // num_classes)
    for first in range(0, num_rows, size):
        yield slice(first, first + size)


def scored_rows(eligible: Tensor, num_classes: int, seed: int) -> Tensor:
    """Returns which answers (N,) bool choose a strength or a scale, (M,): all, or where classes are many, some."""
    rows, most = eligible.nonzero().flatten(), max(1, _SCORED // num_classes)
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most]]


def principal_axes(scores: Tensor, views: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Returns centred scores in their principal axes, at one common scale.

    A scale for each column would turn the rounding noise of outputs that rarely move into signals. The sum of the
    scores under several views takes part like one view more: what a score says under one, it says partly under another.

    Args:
        scores: (N, V * S) float64.
        views: V.

    Returns:
        Features (N, R); axes (V * S, R), with which features = (scores - centre) @ axes; centre (V * S,).
    """
    size, width = scores.shape[1] // views, scores.shape[1]
    if views > 1:
        scores = torch.cat([scores, scores.reshape(-1, views, size).sum(1)], dim=1)
    center, spread = scores.mean(dim=0), scores.std(dim=0, unbiased=False)
    # Beyond float32 noise around the mean, a column that never moves says nothing.
    moving = spread > 1e-6 * (center.abs() + 1e-6)
    scale = spread[moving].square().mean().sqrt() if bool(moving.any()) else spread.new_ones(())
    rotated, basis = _rotate(torch.where(moving, (scores - center) / scale, 0.0))
    axes = basis / scale
    return rotated, axes if views == 1 else axes[:width] + axes[width:].repeat(views, 1), center[:width]


def _rotate(features: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the features (N, R) in their principal axes, and the axes (S, R); R is at most min(N, S).

    The penalty does not see the rotation, and the best weight lies in the span of the features: nothing is lost.
    """
    tall = len(features) >= features.shape[1]
    try:
        values, vectors = torch.linalg.eigh(features.T @ features if tall else features @ features.T)
    except RuntimeError:  # LinAlgError: many equal eigenvalues, as of bare labels, can defeat it; this is slower
        rows, lengths, axes = torch.linalg.svd(features, full_matrices=False)
        in_span = lengths > 1e-5 * lengths[0].clamp_min(1e-150)
        return rows[:, in_span] * lengths[in_span], axes[in_span].T
    in_span = values > 1e-10 * values[-1].clamp_min(1e-300)
    vectors = vectors[:, in_span]
    if tall:
        return features @ vectors, vectors
    lengths = values[in_span].sqrt()
    return vectors * lengths, features.T @ (vectors / lengths)
