"""Answers under several views to images in one fixed order; each is queried once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["AnswerPool", "Query"]

Query = Callable[[int, Tensor], Tensor]
"""(view, positions (n,)) -> answers (n, S); NaN where an image was left without one."""


@dataclass
class AnswerPool:
    """What was answered so far: of each view, the first images of the order.

    Attributes:
        query: Asks the model.
        order: (N,) positions of the labelled images; those at the front are asked first.
        labels: (N,) int64, of the images in that order.
        scores: Answers (n, S) -> what is read of them, see `outputs.to_scores`.
        budget: Queries that may be asked.
    """

    query: Query
    order: Tensor
    labels: Tensor
    scores: Callable[[Tensor], Tensor]
    budget: int
    num_queries: int = 0
    _answers: dict[int, Tensor] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        """Queries that may still be asked."""
        return self.budget - self.num_queries

    def count(self, view: int) -> int:
        """Returns how many images were asked under a view."""
        return len(self._answers.get(view, ()))

    def extend(self, view: int, count: int) -> None:
        """Asks about the first `count` images under a view, except those that were asked before."""
        known = self.count(view)
        if count > known:
            answers = self.query(view, self.order[known:count])
            self.num_queries += len(answers)
            self._answers[view] = torch.cat([self._answers[view], answers]) if known else answers

    def extend_evenly(self, views: tuple[int, ...], count: int, least: int | None = None) -> int:
        """Asks about as many images under all of these views as the budget pays for, and returns how many.

        Args:
            views: Of the committee.
            count: Images that all of them were asked about.
            least: Images that are enough; None for all.
        """
        most = len(self.order) if least is None else min(least, len(self.order))

        def price(images: int) -> int:
            return sum(max(0, images - self.count(view)) for view in views)

        while count < most and price(count + 1) <= self.remaining:
            count += 1
        for view in views:
            self.extend(view, count)
        return count

    def answers(self, view: int, count: int) -> Tensor:
        """Returns the answers (count, S) to the first images under a view."""
        return self._answers[view][:count]

    def answered(self, views: tuple[int, ...], count: int) -> Tensor:
        """Returns which of the first images were answered under all of these views: places in the order, (n,)."""
        missing = torch.stack([self._answers[view][:count].isnan().any(1) for view in views]).any(0)
        return (~missing).nonzero().flatten()

    def scored(self, views: tuple[int, ...], chosen: Tensor) -> list[Tensor]:
        """Returns the scores (n, S) under each view of the images at `chosen`, places in the order (n,)."""
        return [self.scores(self._answers[view][chosen]) for view in views]
