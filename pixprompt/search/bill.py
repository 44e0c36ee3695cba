"""What a prediction may cost: accuracy weighed against all queries that are paid, for learning and for use."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["POINT", "Price"]

POINT = 0.01
"""Accuracy that each doubling of the bill has to buy."""


@dataclass(frozen=True)
class Price:
    """Queries that are paid for a model in use.

    Attributes:
        learning: Queries to learn.
        predictions: Images that will be predicted.
    """

    learning: int
    predictions: int

    def bill(self, per_prediction: float) -> float:
        """Returns all queries, at so many per prediction."""
        return self.learning + per_prediction * self.predictions

    def worth(self, accuracy: float, per_prediction: float) -> float:
        """Returns the accuracy less one POINT for each doubling of the bill over one query per prediction."""
        return accuracy - POINT * math.log2(self.bill(per_prediction) / max(1.0, self.bill(1)))
