"""Scores of a segmentation, all from one confusion matrix over all pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .ade20k import IGNORED

__all__ = ["Confusion"]


@dataclass(frozen=True)
class Confusion:
    """How often each class was taken for which; grows by `add`.

    Attributes:
        counts: (K, K) int64; rows are the true classes, columns the guessed ones.
    """

    counts: Tensor

    @classmethod
    def empty(cls, num_classes: int) -> Confusion:
        """Returns the matrix of no pixel."""
        return cls(torch.zeros(num_classes, num_classes, dtype=torch.int64))

    def add(self, truth: Tensor, guesses: Tensor) -> None:
        """Counts the pixels of two label maps of one shape; those whose truth is IGNORED are left out."""
        counted = truth != IGNORED
        pairs = truth[counted].long() * len(self.counts) + guesses[counted].long()
        self.counts.add_(torch.bincount(pairs.flatten(), minlength=self.counts.numel()).reshape(self.counts.shape))

    @property
    def iou(self) -> Tensor:
        """Intersection over union per class, (K,); NaN of a class that is neither in the truth nor guessed."""
        hits = self.counts.diagonal().double()
        return hits / (self.counts.sum(0) + self.counts.sum(1) - hits)

    @property
    def miou(self) -> float:
        """Mean intersection over union of the classes that occur, in the truth or among the guesses."""
        return float(self.iou.nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are labelled rightly."""
        return float(self.counts.diagonal().sum().double() / self.counts.sum())

    @property
    def mean_accuracy(self) -> float:
        """Mean over the classes in the truth of the share of their pixels that is labelled rightly."""
        return float((self.counts.diagonal().double() / self.counts.sum(1)).nanmean())

    def to_json(self) -> dict[str, Any]:
        """Returns the scores as a JSON object; null for what no pixel tells."""
        values = {name: getattr(self, name) for name in ("miou", "pixel_accuracy", "mean_accuracy")}
        scores = {name: None if value != value else value for name, value in values.items()}
        return {**scores, "iou": [None if value != value else value for value in self.iou.tolist()]}
