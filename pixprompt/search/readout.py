"""A readout that is cross-validated in closed form: kernel ridge regression on one-hot classes.

It reads about as well as logistic regression where labelled answers are few, and its leave-one-out errors cost one
inverse of a matrix. The kernel of a committee is a sum over pairs of views, so committees are compared without fitting
a head to each. What a score says under one view, it says in part under another: a pair of two views counts, though less
than a view with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

__all__ = ["STRENGTHS", "Readout", "kernel_of", "kernels_of", "leave_one_out", "predict", "squared_errors", "with_view"]

STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-6, 2))
"""Of the ridge penalty, in units of the kernel's mean diagonal."""
_INTERCEPT = 10.0
"""Weight of the constant in the kernel, in units of its mean diagonal: large, so the intercept is hardly penalised."""


@dataclass(frozen=True)
class Readout:
    """What a readout predicts of each image when it has not seen that image.

    Attributes:
        strength: Of the penalty, a value of STRENGTHS.
        outputs: (N, C) estimates of the class indicators.
        labels: (N,) int64.
    """

    strength: float
    outputs: Tensor
    labels: Tensor

    @property
    def loss(self) -> float:
        """Mean squared error of the class indicators (Brier score)."""
        return float(squared_errors(self.outputs, self.labels).mean())

    @property
    def correct(self) -> Tensor:
        """Whether each image is read right, (N,) bool."""
        return self.outputs.argmax(1) == self.labels

    @property
    def accuracy(self) -> float:
        """Share of the images that are read right."""
        return float(self.correct.double().mean())


def squared_errors(outputs: Tensor, labels: Tensor) -> Tensor:
    """Returns the Brier score of each image, (..., N), from estimates (..., N, C) and labels (N,)."""
    return (outputs - _indicators(labels, outputs.shape[-1])).square().sum(-1)


def kernel_of(*scores: Tensor) -> Tensor:
    """Returns the kernel (N, N), float64, of the scores (N, S) under one view or several.

    It is that of the centred scores side by side, with their sum as one view more.
    """
    centred = [_centred(each) for each in scores]
    return torch.stack([each @ each.T for each in (*centred, torch.stack(centred).sum(0))]).sum(0)


def kernels_of(scores: Sequence[Tensor]) -> Tensor:
    """Returns the inner products (V, V, N, N), float64, of centred scores (N, S) under each pair of V views."""
    every, count = torch.cat([_centred(each) for each in scores]), len(scores)
    return (every @ every.T).reshape(count, len(every) // count, count, -1).transpose(1, 2)


def with_view(kernel: Tensor, kernels: Tensor, views: Sequence[int], view: int) -> Tensor:
    """Returns the kernel (N, N) of a committee that one view joins.

    Args:
        kernel: (N, N) of the committee before.
        kernels: Of `kernels_of`.
        views: Of the committee before.
        view: That joins.
    """
    shared = kernels[view, list(views)].sum(0)
    return kernel + 2 * kernels[view, view] + shared + shared.T


def leave_one_out(kernel: Tensor, labels: Tensor, num_classes: int, strengths: Sequence[float] = STRENGTHS) -> Readout:
    """Returns the leave-one-out predictions under the strength with the least squared error.

    The prediction for image i without image i is y_i - (A^-1 Y)_i / (A^-1)_ii with A = kernel + penalty
    (Allen's PRESS statistic; Hastie et al., The Elements of Statistical Learning, 7.10).

    Args:
        kernel: (N, N) of `kernel_of`.
        labels: (N,) int64 in 0..num_classes-1.
        num_classes: C.
        strengths: To choose from.
    """
    targets, scale = _indicators(labels, num_classes), _scale(kernel)
    readouts = []
    for strength in strengths:
        penalty = strength * scale * torch.eye(len(kernel), dtype=kernel.dtype)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel + _INTERCEPT * scale + penalty))
        errors = (inverse @ targets) / inverse.diagonal().unsqueeze(1)
        readouts.append(Readout(strength, targets - errors, labels))
    return min(readouts, key=lambda readout: readout.loss)


def predict(
    kernel: Tensor, labels: Tensor, num_classes: int, *, train: Tensor, held_out: Tensor, strength: float
) -> Tensor:
    """Returns outputs (H, C) for the images at `held_out` of a readout that was fitted on those at `train`.

    Args:
        kernel: (N, N) of all images.
        labels: (N,) int64.
        num_classes: C.
        train: Positions (T,) or a mask (N,).
        held_out: Positions (H,) or a mask (N,).
        strength: Of the penalty.
    """
    inner, intercept = kernel[train][:, train], _INTERCEPT * _scale(kernel)
    penalty = strength * _scale(inner) * torch.eye(len(inner), dtype=kernel.dtype)
    weights = torch.linalg.solve(inner + intercept + penalty, _indicators(labels[train], num_classes))
    outputs: Tensor = (kernel[held_out][:, train] + intercept) @ weights
    return outputs


def _centred(scores: Tensor) -> Tensor:
    return scores.double() - scores.double().mean(dim=0)


def _indicators(labels: Tensor, num_classes: int) -> Tensor:
    return one_hot(labels, num_classes).double()


def _scale(kernel: Tensor) -> float:
    return float(kernel.diagonal().mean().clamp_min(1e-12))
