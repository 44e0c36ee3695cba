"""Which views answer best together: greedy forward selection on the cross-validated loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .readout import STRENGTHS, Readout, leave_one_out, predict, with_view

__all__ = ["Path", "cross_fit", "forward_selection"]

_NEIGHBOURS = 4.0
"""A committee's strength lies within this factor of the one before it."""


@dataclass(frozen=True)
class Path:
    """Committees of 1, 2, ... views, each with one view more than the one before.

    Attributes:
        views: Indices of the views in the order in which they joined.
        readouts: Of the committee of the first k views at place k - 1.
    """

    views: tuple[int, ...]
    readouts: tuple[Readout, ...]


def forward_selection(
    kernels: Tensor, labels: Tensor, num_classes: int, *, most: int, start: int | None = None
) -> Path:
    """Adds, again and again, the view that lowers the leave-one-out loss most.

    Args:
        kernels: (V, V, N, N) of all pairs of views, see `kernels_of`.
        labels: (N,) int64.
        num_classes: C.
        most: Views of the largest committee.
        start: The view that comes first; None lets the loss choose it too.
    """
    left, total = list(range(len(kernels))), torch.zeros_like(kernels[0, 0])
    views: list[int] = []
    readouts: list[Readout] = []
    strengths: Sequence[float] = STRENGTHS
    while left and len(views) < most:
        coarse = strengths if not readouts else (readouts[-1].strength,)
        if start is not None and not views:
            view = left.pop(start)
        elif len(left) == 1:
            view = left.pop()
        else:
            committees = (with_view(total, kernels, views, each) for each in left)
            losses = [leave_one_out(kernel, labels, num_classes, coarse).loss for kernel in committees]
            view = left.pop(losses.index(min(losses)))
        total = with_view(total, kernels, views, view)
        views.append(view)
        readouts.append(leave_one_out(total, labels, num_classes, strengths))
        last = readouts[-1].strength
        strengths = [each for each in STRENGTHS if last / _NEIGHBOURS < each < last * _NEIGHBOURS]
    return Path(tuple(views), tuple(readouts))


def cross_fit(
    kernels: Tensor,
    labels: Tensor,
    num_classes: int,
    folds: Tensor,
    *,
    most: int,
    start: int | None = None,
) -> Tensor:
    """Repeats the whole selection without each fold in turn, and predicts the images of that fold.

    What a selection sees in the images that it chose by flatters it; this does not.

    Args:
        kernels: See `forward_selection`.
        labels: (N,) int64.
        num_classes: C.
        folds: (N,) fold of each image.
        most: Views of the largest committee.
        start: See `forward_selection`.

    Returns:
        Outputs (most, N, C): of committees of 1, 2, ... views.
    """
    most = min(most, len(kernels))
    outputs = torch.zeros(most, len(labels), num_classes, dtype=torch.float64)
    for fold in sorted(set(folds.tolist())):
        held_out, train = folds == fold, folds != fold
        inner = kernels[:, :, train][..., train]
        path = forward_selection(inner, labels[train], num_classes, most=most, start=start)
        total = torch.zeros_like(kernels[0, 0])
        for place, (view, readout) in enumerate(zip(path.views, path.readouts, strict=True)):
            total = with_view(total, kernels, path.views[:place], view)
            outputs[place, held_out] = predict(
                total, labels, num_classes, train=train, held_out=held_out, strength=readout.strength
            )
    return outputs
