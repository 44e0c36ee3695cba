"""Which labelled answers are held out while a strength of regularization is chosen."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fifths", "one_fifth", "stratified_folds"]

_FOLDS = 5
_SHARE = 1 / _FOLDS


def stratified_folds(labels: Tensor, count: int = _FOLDS) -> Tensor:
    """Returns a fold 0..count-1 for each label, (N,), dealt out class by class in the order of the labels."""
    folds = torch.zeros(len(labels), dtype=torch.int64)
    place = 0
    for label in sorted(set(labels.tolist())):
        own = (labels == label).nonzero().flatten()
        folds[own] = (torch.arange(len(own)) + place) % count
        place += len(own)  # not from fold 0 each time, or few examples per class would fill one fold only
    return folds


def one_fifth(labels: Tensor, seed: int) -> Tensor:
    """Marks a fifth of each class, at least one and never its only example, (N,) bool."""
    generator = torch.Generator().manual_seed(seed)
    fold = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(int(labels.max()) + 1):
        indices = (labels == k).nonzero().flatten()
        if len(indices) > 1:
            shuffled = indices[torch.randperm(len(indices), generator=generator)]
            fold[shuffled[: max(1, round(_SHARE * len(indices)))]] = True
    return fold


def fifths(labels: Tensor, seed: int) -> list[Tensor]:
    """Marks five parts, (N,) bool, each with its share of each class; the only example of a class is in none."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[torch.bincount(labels)[labels[order]] > 1]
    parts = torch.full((len(labels),), -1)
    parts[order] = stratified_folds(labels[order])
    return [parts == part for part in range(_FOLDS) if bool((parts == part).any())]
