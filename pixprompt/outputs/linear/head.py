"""The linear head: multinomial logistic regression on the answers, its strength chosen on a held-out fold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .folds import fifths, one_fifth
from .form import LinearForm, principal_axes, row_blocks

__all__ = ["STRENGTHS", "LinearHead", "choose_strength", "logistic_regression"]

STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
"""Strengths of the L2 penalty, strongest first; see `logistic_regression`."""
_UNVALIDATED = 0.1
"""The strength where every class has a single answer, so that none can be held out."""
_FINE, _COARSE = 1e-6, 1e-4
"""Tolerances of the optimum; the coarse one changes about one decision in a thousand."""
_HISTORY = 2**25
"""Entries of all steps that L-BFGS remembers, if it remembers more than four."""
_FEW = 100
"""Answers below which a single fifth of them is too few to choose a strength by."""


@dataclass(frozen=True, eq=False)
class LinearHead(LinearForm):
    """Multinomial logistic regression on the outputs: the strongest transform, and one that learns most.

    Outputs are centred and brought to one common scale (a constant one is ignored). A scale for each would turn the
    rounding noise of outputs that rarely move into signals. On MobileNetV2's answers (mean of CIFAR-10 and flowers; 25
    and 200 labelled ones) the common scale and the choice of strength below reach 0.51 and 0.68 from logits, 0.45 and
    0.68 from log-probabilities, 0.46 and 0.60 from two decimals; standardised outputs reached 0.50 and 0.67, 0.43 and
    0.67, 0.40 and 0.58.

    The L2 strength is the one of STRENGTHS with the lowest cross-entropy on a stratified fifth of the answers, held
    out by the seed; below 100 answers on all fifths in turn, and there the strongest one does not compete, since it
    can win by hardly listening to the answers at all. The head is fitted again on everything.
    """

    kind: ClassVar[str] = "linear"

    def _solve(self, scores: Tensor, labels: Tensor, num_classes: int) -> Self:
        features, axes, center = principal_axes(scores, self.views)
        strength = self.strength or choose_strength(features, labels, num_classes, self.seed)
        tolerance = _COARSE if self.strength else _FINE
        weight, bias = logistic_regression(features, labels, num_classes, strength=strength, tolerance=tolerance)
        weight = axes @ weight
        return replace(self, strength=strength)._solved(weight, bias - center @ weight)


def logistic_regression(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    strength: float,
    start: Tensor | None = None,
    offset: Tensor | None = None,
    tolerance: float = _FINE,
    mask: Tensor | None = None,
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
        offset: (N, P) logits that the features are to add to; zeros without it.
        tolerance: Largest entry of the scaled gradient at the end.
        mask: (R, P), 0 where a weight stays 0; None for none.

    Returns:
        Weight (R, P) and bias (P,).
    """
    width = features.shape[1]
    curvature = max(num_classes - 1, 1) / num_classes**2  # p (1 - p) while all classes are alike
    penalty = features.new_full((width + 1, 1), strength)
    penalty[-1] = 0
    free = 1.0 if mask is None else torch.cat([mask, mask.new_ones(1, num_classes)])
    inputs = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    scale = (curvature * inputs.square().mean(dim=0).unsqueeze(1) + penalty).rsqrt()
    inputs, penalty = inputs * scale.T, penalty * scale.square()
    params = inputs.new_zeros(width + 1, num_classes) if start is None else start / scale
    optimizer = torch.optim.LBFGS(
        [params],
        max_iter=300,
        history_size=max(4, min(20, _HISTORY // params.numel())),
        tolerance_grad=tolerance,
        tolerance_change=tolerance / 1000,
        line_search_fn="strong_wolfe",
    )

    def loss() -> float:
        total, gradient = (penalty * params.square()).sum() / 2, penalty * params
        for rows in row_blocks(len(labels), num_classes):
            logits = inputs[rows] @ params if offset is None else torch.addmm(offset[rows], inputs[rows], params)
            residuals, own = logits.log_softmax(dim=1), (torch.arange(len(logits)), labels[rows])
            total -= residuals[own].sum() / len(labels)
            residuals.exp_()[own] -= 1
            gradient.addmm_(inputs[rows].T, residuals, alpha=1 / len(labels))
        params.grad = free * gradient
        return float(total)

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    params = params * scale
    return params[:-1], params[-1]


def choose_strength(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    seed: int,
    *,
    mask: Tensor | None = None,
    offset: Tensor | None = None,
) -> float:
    """Returns the one of STRENGTHS that validates best; see `LinearHead` and `logistic_regression`.

    With an offset it is no fault to hardly listen to the answers: the strongest competes.
    """
    few = len(labels) < _FEW
    folds = fifths(labels, seed) if few else [one_fifth(labels, seed)]
    if not any(bool(fold.any()) for fold in folds):
        return _UNVALIDATED
    best, least = STRENGTHS[0], float("inf")
    starts: list[Tensor | None] = [None] * len(folds)
    for strength in STRENGTHS[1:] if few and offset is None else STRENGTHS:
        loss = 0.0
        for place, fold in enumerate(folds):
            weight, bias = logistic_regression(
                features[~fold],
                labels[~fold],
                num_classes,
                strength=strength,
                start=starts[place],
                offset=None if offset is None else offset[~fold],
                tolerance=_COARSE,
                mask=mask,
            )
            starts[place] = torch.cat([weight, bias.unsqueeze(0)])
            held_out = fold.nonzero().flatten()
            for rows in (held_out[block] for block in row_blocks(len(held_out), num_classes)):
                logits = features[rows] @ weight + bias
                logits = logits if offset is None else logits + offset[rows]
                loss += float(cross_entropy(logits, labels[rows], reduction="sum"))
        if loss >= least:
            break
        best, least = strength, loss
    return best
