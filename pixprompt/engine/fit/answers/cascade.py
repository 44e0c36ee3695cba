"""The cascade of a committee: when the answer under its first view is enough, chosen on answers that were held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....outputs import CascadeOutput
from ....search.bill import Price
from ....search.cascade import Cascade, cascade_curve, choose_cascade, margins
from ...answers import Answered
from .cross_fit import Choice

__all__ = ["SHARES", "FittedCascade", "fit_cascade"]

SHARES = tuple(step / 20 for step in range(1, 21))
"""Of the images that are asked further, the least sure ones: points of a curve of accuracy against queries."""


@dataclass(frozen=True)
class FittedCascade:
    """A cascade that is worth more than the whole committee for every image.

    Attributes:
        output: Reads the answers in two stages.
        chosen: Its threshold, price and held-out accuracy.
        curve: The same of every share of SHARES.
        held_out: Logits (N, K) of the training images, each read by transforms that have not seen it.
    """

    output: CascadeOutput
    chosen: Cascade
    curve: tuple[Cascade, ...]
    held_out: Tensor

    def to_json(self) -> dict[str, Any]:
        """Returns what a prompt file says of it."""
        return {
            "threshold": self.chosen.threshold,
            "per_prediction": round(self.chosen.per_prediction, 3),
            "output": self.output.first.to_json(),
        }

    def facts(self) -> dict[str, Any]:
        """Returns what a result says of it."""
        return {
            "threshold": self.chosen.threshold,
            "per_prediction": self.chosen.per_prediction,
            "accuracy": self.chosen.accuracy,
            "curve": [[each.per_prediction, each.accuracy] for each in self.curve],
        }


def fit_cascade(
    first: Choice, full: Choice, answered: Answered, folds: Tensor, val: Answered | None, num_views: int, price: Price
) -> FittedCascade | None:
    """Chooses the threshold on training images, each read by transforms that have not seen it, and validation images.

    Args:
        first: Reads the answers under the first view.
        full: Reads those under all views.
        answered: Of training images, side by side, (N, V * S).
        folds: Of those images, (N,).
        val: The same of validation images; None for none.
        num_views: V.
        price: Of learning and use.

    Returns:
        None where it is worth most to ask every image under all views.
    """
    own = answered.outputs.shape[1] // num_views
    logits = [first.heads.logits(answered.outputs[:, :own], folds), full.heads.logits(answered.outputs, folds)]
    labels = answered.labels
    if val is not None and len(val.complete.labels):
        outputs, labels = val.complete.outputs, torch.cat([labels, val.complete.labels])
        later = [first.heads.full(outputs[:, :own]), full.heads.full(outputs)]
        logits = [torch.cat(pair) for pair in zip(logits, later, strict=True)]
    curve = cascade_curve(logits[0], logits[1], labels, (1.0, num_views - 1.0), SHARES)
    chosen = choose_cascade(curve, price)
    if math.isinf(chosen.threshold):
        return None
    output = CascadeOutput(first.heads.full, full.heads.full, num_views, chosen.threshold)
    count = len(answered.labels)
    in_doubt = (margins(logits[0][:count]) < chosen.threshold).unsqueeze(1)
    held_out = torch.where(in_doubt, logits[1][:count], logits[0][:count])
    return FittedCascade(output, chosen, tuple(curve), held_out)
