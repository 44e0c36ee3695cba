"""The linear head: multinomial logistic regression on the answers, its strength chosen on a held-out fold."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ..core import AnswerKind, ShapeError
from .base import CLASSIFIER, Setup, Transform

__all__ = ["STRENGTHS", "LinearHead", "logistic_regression"]

_log = logging.getLogger(__name__)
STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
"""Of the L2 penalty, strongest first; see `logistic_regression`."""
_UNHEARD = 0.1
_FINE, _COARSE = 1e-6, 1e-4
"""Tolerances of the optimum; the coarse one changes about one decision in a thousand."""
_FOLD = 0.2
_FEW = 100
"""Answers below which a single fifth of them is too few to choose a strength by."""


@dataclass(frozen=True, eq=False)
class LinearHead(Transform):
    """Multinomial logistic regression on the outputs: the strongest transform, and one that learns most.

    Outputs are centred and brought to one common scale (a constant one is ignored). A scale for each would turn the
    rounding noise of outputs that rarely move into signals. On MobileNetV2's answers (mean of CIFAR-10 and flowers; 25
    and 200 labelled ones) the common scale and the choice of strength below reach 0.51 and 0.68 from logits, 0.45 and
    0.68 from log-probabilities, 0.46 and 0.60 from two decimals; standardised outputs reached 0.50 and 0.67, 0.43 and
    0.67, 0.40 and 0.58.

    The L2 strength is the one of STRENGTHS with the lowest cross-entropy on a stratified fifth of the answers, held
    out by the seed; below 100 answers on all fifths in turn, and there the strongest one does not compete, since it
    can win by hardly listening to the answers at all. The head is fitted again on everything. A class without
    examples gets a logit one below the lowest of the others.

    Attributes:
        seed: Decides the held-out folds.
        present: Indices of the P classes that had examples.
        weight: (V * S, P) float32, in units of the outputs as they come.
        bias: (P,) float32.
        strength: Of the L2 penalty that was chosen; 0 before.
    """

    seed: int
    present: tuple[int, ...] | None
    weight: Tensor | None
    bias: Tensor | None
    strength: float = field(default=0.0, kw_only=True)

    kind: ClassVar[str] = "linear"
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
        return super(LinearHead, replace(self, strength=0.0)).refit(outputs, labels)

    def refit_alike(self, outputs: Tensor, labels: Tensor) -> Self:
        """Learns from other answers with the strength that it has, to a coarser optimum: many times as fast as `refit`.

        For heads that are fitted again and again while answers come in.
        """
        return super().refit(outputs, labels)

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        seen = torch.bincount(labels, minlength=len(self.classes)) > 0
        present, compact = tuple(seen.nonzero().flatten().tolist()), (seen.cumsum(dim=0) - 1)[labels]
        if len(present) < len(self.classes):
            absent = [name for k, name in enumerate(self.classes) if k not in present]
            level = logging.INFO if self.weight is not None else logging.WARNING  # once is enough
            _log.log(level, "no labelled answers for %s; the head will never choose it", ", ".join(absent))
        features = scores.double()
        center, spread = features.mean(dim=0), features.std(dim=0, unbiased=False)
        # Beyond float32 noise around the mean, a column that never moves says nothing.
        moving = spread > 1e-6 * (center.abs() + 1e-6)
        scale = spread[moving].square().mean().sqrt() if bool(moving.any()) else spread.new_ones(())
        rotated, basis = _rotate(torch.where(moving, (features - center) / scale, 0.0))
        strength = self.strength or _choose_strength(rotated, compact, len(present), self.seed)
        tolerance = _COARSE if self.strength else _FINE
        weight, bias = logistic_regression(rotated, compact, len(present), strength=strength, tolerance=tolerance)
        weight = (basis @ weight) / scale
        bias = (bias - center @ weight).float()
        return replace(self, present=present, weight=weight.float(), bias=bias, strength=strength)

    def _logits(self, scores: Tensor) -> Tensor:
        if self.weight is None or self.bias is None or self.present is None:
            return scores
        logits = scores @ self.weight + self.bias
        if len(self.present) == len(self.classes):
            return logits
        lowest = (logits.amin(dim=1, keepdim=True) - 1).expand(-1, len(self.classes))
        return lowest.index_copy(1, torch.tensor(self.present, device=scores.device), logits)


def logistic_regression(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    strength: float,
    start: Tensor | None = None,
    tolerance: float = _FINE,
) -> tuple[Tensor, Tensor]:
    """Minimises mean cross-entropy + strength/2 * |weight|^2 with L-BFGS in float64; the bias is free.

    scikit-learn's C is 1 / (strength * N). The variables are scaled by an estimate of their curvature, with which a
    few tens of steps are enough; features whose columns are orthogonal make the estimate a good one.

    Args:
        features: (N, R) float64.
        labels: (N,) in 0..P-1, each class present.
        num_classes: P.
        strength: Positive.
        start: (R + 1, P), weight over bias, to start from; zeros without it.
        tolerance: Largest entry of the scaled gradient at the end.

    Returns:
        Weight (R, P) and bias (P,).
    """
    width = features.shape[1]
    curvature = max(num_classes - 1, 1) / num_classes**2  # p (1 - p) while all classes are alike
    penalty = features.new_full((width + 1, 1), strength)
    penalty[-1] = 0
    inputs = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    scale = (curvature * inputs.square().mean(dim=0).unsqueeze(1) + penalty).rsqrt()
    inputs, penalty = inputs * scale.T, penalty * scale.square()
    targets = one_hot(labels, num_classes).double()
    params = inputs.new_zeros(width + 1, num_classes) if start is None else start / scale
    optimizer = torch.optim.LBFGS(
        [params],
        max_iter=300,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=tolerance / 1000,
        line_search_fn="strong_wolfe",
    )

    def loss() -> float:
        logits = inputs @ params
        residuals = (logits.softmax(dim=1) - targets) / len(targets)
        params.grad = inputs.T @ residuals + penalty * params
        return float(cross_entropy(logits, labels) + (penalty * params.square()).sum() / 2)

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    params = params * scale
    return params[:-1], params[-1]


def _rotate(features: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the features (N, R) in their principal axes, and the axes (S, R); R is at most min(N, S).

    The penalty does not see the rotation, and the best weight lies in the span of the features: nothing is lost.
    """
    tall = len(features) >= features.shape[1]
    values, vectors = torch.linalg.eigh(features.T @ features if tall else features @ features.T)
    kept = values > 1e-10 * values[-1].clamp_min(1e-300)
    vectors = vectors[:, kept]
    if tall:
        return features @ vectors, vectors
    lengths = values[kept].sqrt()
    return vectors * lengths, features.T @ (vectors / lengths)


def _choose_strength(features: Tensor, labels: Tensor, num_classes: int, seed: int) -> float:
    few = len(labels) < _FEW
    parts = _fifths(labels, seed) if few else [_held_out(labels, seed)]
    if not any(bool(held.any()) for held in parts):
        return _UNHEARD
    best, least = STRENGTHS[0], float("inf")
    starts: list[Tensor | None] = [None] * len(parts)
    for strength in STRENGTHS[1:] if few else STRENGTHS:
        loss = 0.0
        for place, held in enumerate(parts):
            weight, bias = logistic_regression(
                features[~held], labels[~held], num_classes, strength=strength, start=starts[place], tolerance=_COARSE
            )
            starts[place] = torch.cat([weight, bias.unsqueeze(0)])
            loss += float(cross_entropy(features[held] @ weight + bias, labels[held], reduction="sum"))
        if loss >= least:
            break
        best, least = strength, loss
    return best


def _held_out(labels: Tensor, seed: int) -> Tensor:
    """Marks a fifth of each class, at least one and never its only example."""
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(int(labels.max()) + 1):
        indices = (labels == k).nonzero().flatten()
        if len(indices) > 1:
            shuffled = indices[torch.randperm(len(indices), generator=generator)]
            held[shuffled[: max(1, round(_FOLD * len(indices)))]] = True
    return held


def _fifths(labels: Tensor, seed: int) -> list[Tensor]:
    """Marks five parts, each with its share of each class; the only example of a class is in none of them."""
    generator = torch.Generator().manual_seed(seed)
    parts, dealt = torch.full((len(labels),), -1), 0
    for k in range(int(labels.max()) + 1):
        indices = (labels == k).nonzero().flatten()
        if len(indices) > 1:
            shuffled = indices[torch.randperm(len(indices), generator=generator)]
            parts[shuffled] = (torch.arange(len(indices)) + dealt) % 5
            dealt += len(indices)  # not from the first part each time, or few examples would fill that one only
    return [parts == part for part in range(5) if bool((parts == part).any())]
