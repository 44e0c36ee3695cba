"""From answers as models give them to scores whose softmax means something: logits, or log-probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import AnswerKind
from .saved import DOUBT, rest_of

__all__ = ["NAMED", "decimals_of", "floor_of", "to_scores"]

NAMED = frozenset({AnswerKind.TOP_K, AnswerKind.LABEL})
"""Answers that are made of labels; their indices may hang on the order in which the labels came."""
_MOST_DECIMALS = 6
_FLOAT32 = 2.0**-23
_FINEST = 1e-6


def to_scores(outputs: Tensor, answer: AnswerKind, floor: float) -> Tensor:
    """Turns the answers of a classifier into logits or log-probabilities; embeddings pass as they are.

    - PROBABILITIES: their logarithm, of `floor` at least.
    - TOP_K: the same, and the classes on which an answer is silent share what it leaves over, of `floor` at least
      and never more than the smallest score that is named. Scores that sum to more than 1 are independent of each
      other and leave nothing over: there it is `floor`.
    - LABEL: the logarithm of 1 - DOUBT for the label, of `rest_of` for the others. Averages of labels work too.

    Args:
        outputs: (N, S), float32.
        floor: What a probability of 0 stands for.
    """
    if answer is AnswerKind.PROBABILITIES:
        return outputs.clamp_min(floor).log()
    if answer is AnswerKind.TOP_K:
        is_named = outputs > 0
        return torch.where(is_named, outputs, _silent_share(outputs, is_named, floor)).log()
    if answer is AnswerKind.LABEL:
        rest = rest_of(outputs.shape[1])
        return (rest + outputs * (1 - DOUBT - rest)).log()
    return outputs


def decimals_of(outputs: Tensor) -> int | None:
    """Returns the fewest decimals, 0 to 6, that write every number exactly; None where they are finer than that.

    Args:
        outputs: Any shape; float32 rounding is allowed for.
    """
    values = outputs.detach().double()
    for places in range(_MOST_DECIMALS + 1):
        steps = values * 10.0**places
        if bool(((steps - steps.round()).abs() <= steps.abs() * _FLOAT32).all()):
            return places
    return None


def floor_of(outputs: Tensor) -> float:
    """Returns what a probability of 0 stands for in answers like these: half of their last decimal.

    1e-6 where they are not rounded to 6 decimals or fewer. Whole numbers show no rounding: 1e-6 too.

    Args:
        outputs: (N, S) probabilities as they came; more answers tell the decimals more surely.
    """
    places = decimals_of(outputs)
    return 0.5 * 10.0**-places if places else _FINEST


def _silent_share(outputs: Tensor, is_named: Tensor, floor: float) -> Tensor:
    """Returns what each class stands for that a top-k answer does not name, (N, 1)."""
    total = outputs.sum(dim=1, keepdim=True)
    num_silent = (~is_named).sum(dim=1, keepdim=True).clamp_min(1)
    least = torch.where(is_named, outputs, 1.0).amin(dim=1, keepdim=True)
    share = ((1 - total) / num_silent).clamp_min(floor)
    return torch.minimum(torch.where(total > 1, floor, share), least)
