"""The linear head: multinomial logistic regression on the answers, its strength chosen on a held-out fold."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ..core import AnswerKind, ShapeError
from .base import CLASSIFIER, Setup, Transform
from .registry import OUTPUTS

__all__ = ["STRENGTHS", "LinearHead", "logistic_regression"]

_log = logging.getLogger(__name__)
STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
"""Of the L2 penalty, strongest first; see `logistic_regression`."""
_UNHEARD = 0.1
_FOLD = 0.2


@OUTPUTS.register("linear")
@dataclass(frozen=True, eq=False)
class LinearHead(Transform):
    """Multinomial logistic regression on the outputs: the strongest transform, and one that learns most.

    Outputs are standardised (a constant one is ignored), the L2 strength is the one of STRENGTHS with the lowest
    cross-entropy on a stratified fifth of the answers, held out by the seed, and the head is fitted again on all.
    A class without examples gets a logit one below the lowest of the others.

    Attributes:
        seed: Decides the held-out fold.
        present: Indices of the P classes that had examples.
        weight: (S, P) float32, in units of the outputs as they come.
        bias: (P,) float32.
    """

    seed: int
    present: tuple[int, ...] | None
    weight: Tensor | None
    bias: Tensor | None

    kind: ClassVar[str] = "linear"
    answers: ClassVar[frozenset[AnswerKind]] = CLASSIFIER | {AnswerKind.EMBEDDINGS}
    fits: ClassVar[bool] = True
    refits_in_training: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.weight is None or self.bias is None or self.present is None:
            return
        expected = (self.num_outputs, len(self.present))
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

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        seen = torch.bincount(labels, minlength=len(self.classes)) > 0
        present, compact = tuple(seen.nonzero().flatten().tolist()), (seen.cumsum(dim=0) - 1)[labels]
        if len(present) < len(self.classes):
            absent = [name for k, name in enumerate(self.classes) if k not in present]
            level = logging.INFO if self.weight is not None else logging.WARNING  # once is enough
            _log.log(level, "no labelled answers for %s; the head will never choose it", ", ".join(absent))
        features = scores.double()
        center, scale = features.mean(dim=0), features.std(dim=0, unbiased=False)
        # Beyond float32 noise around the mean, a column that never moves says nothing and must not be blown up.
        moving = scale > 1e-6 * (center.abs() + 1e-6)
        scale = torch.where(moving, scale, 1.0)
        standard = torch.where(moving, (features - center) / scale, 0.0)
        rotated, basis = _rotate(standard)
        strength = _choose_strength(rotated, compact, len(present), self.seed)
        weight, bias = logistic_regression(rotated, compact, len(present), strength=strength)
        weight = (basis @ weight) / scale.unsqueeze(1)
        return replace(self, present=present, weight=weight.float(), bias=(bias - center @ weight).float())

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
    tolerance: float = 1e-6,
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
    held = _held_out(labels, seed)
    if not bool(held.any()):
        return _UNHEARD
    best, least, start = STRENGTHS[0], float("inf"), None
    for strength in STRENGTHS:
        weight, bias = logistic_regression(
            features[~held], labels[~held], num_classes, strength=strength, start=start, tolerance=1e-4
        )
        start = torch.cat([weight, bias.unsqueeze(0)])
        loss = float(cross_entropy(features[held] @ weight + bias, labels[held]))
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
