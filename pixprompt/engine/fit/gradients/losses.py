"""Losses."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["LOSSES", "loss_of"]

_GAMMA = 2.0
_OF_CROSS_ENTROPIES: dict[str, Callable[[Tensor], Tensor]] = {
    "cross-entropy": lambda losses: losses,
    "focal": lambda losses: (1 - (-losses).exp()) ** _GAMMA * losses,
}
LOSSES = tuple(_OF_CROSS_ENTROPIES)


def loss_of(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean loss of logits (N, K) against labels (N,).

    "focal" is (1 - p)^2 * cross-entropy, p the share of the true class (arXiv 1708.02002; BAR uses it).

    Raises:
        KeyError: The name is none of LOSSES.
    """
    return _OF_CROSS_ENTROPIES[name](cross_entropy(logits, labels, reduction="none")).mean()
