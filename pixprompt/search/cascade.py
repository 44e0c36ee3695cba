"""A cascade: one reader for all images, a dearer one only for those about which the first is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bill import Price

__all__ = ["Cascade", "cascade_curve", "choose_cascade", "margins"]


@dataclass(frozen=True)
class Cascade:
    """Images whose margin under the first reader is below the threshold are read by the second.

    Attributes:
        threshold: Of the difference between the two largest probabilities.
        per_prediction: Queries per image, on the average of the images that chose it.
        accuracy: On those images.
    """

    threshold: float
    per_prediction: float
    accuracy: float


def margins(logits: Tensor) -> Tensor:
    """Returns the difference of the two largest probabilities of each row, (N,); large where the answer is sure."""
    top = logits.softmax(1).topk(min(2, logits.shape[1]), dim=1).values
    return top[:, 0] - top[:, -1]


def cascade_curve(
    first: Tensor, full: Tensor, labels: Tensor, price: tuple[float, float], shares: Sequence[float]
) -> list[Cascade]:
    """Returns a cascade for each share of the images that are asked further, the least sure ones.

    Args:
        first: (N, C) logits of the first stage, of images that it was not fitted on.
        full: (N, C) logits of the last stage.
        labels: (N,).
        price: Queries of the first stage, and of the second one on top of it.
        shares: In [0, 1].
    """
    sure, order = margins(first), margins(first).argsort(stable=True)
    curve = []
    for share in shares:
        count = round(share * len(labels))
        further = torch.zeros(len(labels), dtype=torch.bool)
        further[order[:count]] = True
        predicted = torch.where(further, full.argmax(1), first.argmax(1))
        threshold = float(sure[order[count]]) if count < len(labels) else float("inf")
        threshold = threshold if count else 0.0  # none is asked further, however sure these images were
        accuracy = float((predicted == labels).double().mean())
        curve.append(Cascade(threshold, price[0] + price[1] * count / len(labels), accuracy))
    return curve


def choose_cascade(curve: Sequence[Cascade], price: Price) -> Cascade:
    """Returns the cascade that is worth most, see `Price.worth`; the cheaper one of two alike."""
    return max(curve, key=lambda each: (price.worth(each.accuracy, each.per_prediction), -each.per_prediction))
