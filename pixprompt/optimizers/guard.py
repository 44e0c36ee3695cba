"""The divergence guard of the zeroth-order optimisers: it sees losses and centers, never a gradient."""

from __future__ import annotations

import math
from enum import Enum
from statistics import median

import torch
from torch import Tensor

__all__ = ["RADIUS", "Guard", "Verdict", "replace_nonfinite"]

RADIUS = 2.0
"""How far (pixel RMS) a center may go from the start: pixels span 1, so everything would be clipped out there."""

_WINDOW, _FIRST, _DEVIATIONS, _SHARE = 20, 5, 10.0, 0.1


def replace_nonfinite(losses: Tensor) -> Tensor:
    """Losses (M,) in which what is not finite counts as the worst finite one; unchanged where none is finite."""
    finite = losses.isfinite()
    return torch.where(finite, losses, losses[finite].max()) if finite.any() else losses


class Verdict(Enum):
    """What an optimiser does with a generation."""

    LEARN = "learn"
    REPEAT = "repeat"
    GO_BACK = "go back"


class Guard:
    """Decides after each generation whether to learn from it, to repeat it, or to go back.

    The level of a generation is the median of its losses. It blows up when it is not finite, or, once there are 5
    levels, when it is above both of these: the median of the last 20 levels plus 10 robust standard deviations (1.4826
    times the median absolute deviation, at least a tenth of the median itself), and half-way back from there to the
    median of the first 5 levels. The second lets hard mini-batches pass where most losses have become tiny.

    A first such level may still be the mini-batch: nothing is learned and the same center is tried again. A
    second in a row is due to the step: back to the center of the last good generation, at half the step. A third,
    there, shows that the losses have changed and not the step (another head, a drifting model): the step is doubled
    again and the levels start anew.

    A center that leaves the radius goes back to the last good one at half the step, too.

    Args:
        start: (D,) first center.
        radius: Pixel RMS.
    """

    def __init__(self, start: Tensor, radius: float = RADIUS) -> None:
        self.radius = radius
        self.start = start
        self.good = start
        self.levels: list[float] = []
        self.first: float | None = None
        self.alarms = 0
        self.damping = 1.0
        self.returns = 0

    def decide(self, losses: Tensor, center: Tensor) -> Verdict:
        """Says what to do with a generation: its losses (M,) and the center (D,) that its candidates lie around."""
        level = median(losses.tolist())
        self.alarms = self.alarms + 1 if self._blown_up(level) else 0
        if self.alarms == 3:
            self.damping *= 2
        if self.alarms >= 3 and math.isfinite(level):
            self.levels, self.first, self.alarms = [], None, 0
        if self.alarms == 2:
            return self._go_back()
        if self.alarms:
            return Verdict.REPEAT
        self.levels = [*self.levels, level][-_WINDOW:]
        if self.first is None and len(self.levels) == _FIRST:
            self.first = median(self.levels)
        self.good = center
        return Verdict.LEARN

    def check(self, center: Tensor) -> Verdict:
        """Says whether a new center (D,) may stay: it must be finite and inside the radius."""
        distance = float((center - self.start).square().mean().sqrt())
        return Verdict.LEARN if distance <= self.radius else self._go_back()

    def _go_back(self) -> Verdict:
        self.damping /= 2
        self.returns += 1
        return Verdict.GO_BACK

    def _blown_up(self, level: float) -> bool:
        if not math.isfinite(level):
            return True
        if self.first is None:
            return False
        middle = median(self.levels)
        deviation = 1.4826 * median(abs(other - middle) for other in self.levels)
        return level > max(middle + _DEVIATIONS * max(deviation, _SHARE * abs(middle)), (middle + self.first) / 2)
