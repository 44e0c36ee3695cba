"""Losses."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["LOSSES", "loss_of"]

LOSSES = ("cross-entropy", "focal")
_GAMMA = 2.0


def loss_of(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean loss of logits (N, K) against labels (N,).

    "focal" is (1 - p)^2 * cross-entropy, p the share of the true class (arXiv 1708.02002; BAR uses it).
    """
    losses = cross_entropy(logits, labels, reduction="none")
    if name == "focal":
        losses = (1 - (-losses).exp()) ** _GAMMA * losses
    return losses.mean()
