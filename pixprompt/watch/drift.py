"""Whether answers about the same images have changed by more than the noise of the endpoint.

Each image was answered twice at the beginning, A and B, and is answered once more now, R. As long as the model is the
same, B and R are two draws of the same noise, so that R is as often farther from A than B is as the other way round.
A sign test over the images is exact for that, whatever the noise is: for bare labels it is McNemar's test.

Rounds share one level: the test of round t uses alpha / (t (t + 1)), which adds up to alpha over all rounds, so that a
watch over an unchanged model ever gives an alarm with probability alpha at most, however long it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from ..core import AnswerKind

__all__ = ["Comparison", "Shares", "alarm_level", "compare", "distances", "to_shares"]

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What a round says.

    Attributes:
        num_images: That have all three answers.
        num_changed: With another likeliest output than at the beginning.
        distance: Mean total variation distance from the first answers, in [0, 1].
        noise: The same between the two answers of the beginning.
        p_value: One-sided, of the sign test.
    """

    num_images: int
    num_changed: int
    distance: float
    noise: float
    p_value: float


def alarm_level(alpha: float, round_number: int) -> float:
    """Returns the level of the test of a round, counted from 1."""
    return alpha / (round_number * (round_number + 1))


def compare(first: Shares, second: Shares, new: Shares, *, tolerance: float) -> Comparison:
    """Compares new answers with those of the beginning.

    Args:
        first: A, (N, V, S) as `to_shares` makes them; NaN where there is no answer.
        second: B.
        new: R.
        tolerance: A difference of distances up to this counts as none: rounding is no change.
    """
    there = ~np.isnan(np.stack([first, second, new])).any((0, 2, 3))
    first, second, new = first[there], second[there], new[there]
    noise, now = distances(first, second), distances(first, new)
    farther, nearer = int((now - noise > tolerance).sum()), int((noise - now > tolerance).sum())
    changed = (new.argmax(2) != first.argmax(2)).any(1)
    num = len(first)
    mean_now, mean_noise = (float(each.mean()) if num else 0.0 for each in (now, noise))
    return Comparison(num, int(changed.sum()), mean_now, mean_noise, _sign_test(farther, nearer))


def distances(one: Shares, other: Shares) -> npt.NDArray[np.float64]:
    """Returns the total variation distance of each image, (N,), the mean over its V views."""
    distances: npt.NDArray[np.float64] = abs(one - other).sum(2).mean(1) / 2
    return distances


def to_shares(rows: npt.NDArray[np.float32], views: int, answer: AnswerKind) -> Shares:
    """Returns answers (N, V * S) as probabilities (N, V, S); a bare label is sure."""
    scores = rows.reshape(len(rows), views, -1).astype(np.float64)
    if answer is not AnswerKind.LOGITS:
        return scores
    powers = np.exp(scores - scores.max(2, keepdims=True))
    shares: Shares = powers / powers.sum(2, keepdims=True)
    return shares


def _sign_test(farther: int, nearer: int) -> float:
    """Returns the probability of so many heads or more among fair coins."""
    total = farther + nearer
    return float(sum(comb(total, heads) for heads in range(farther, total + 1)) / 2**total)
