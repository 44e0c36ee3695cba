"""A race among views on the same images: what answers badly is dropped early, what answers well is asked about more.

Successive halving (Jamieson and Talwalkar 2016), with committees in mind: a view's rank is the place at which forward
selection takes it, so what stays are views that add to each other, not near copies of the best one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..outputs import stratified_folds
from .bill import Price
from .evidence import Comparison, compare
from .outlook import extrapolated, smoothed
from .pool import AnswerPool
from .readout import Readout, leave_one_out
from .selection import cross_fit, forward_selection

__all__ = ["PLAIN", "Race", "Rung", "Winner"]

PLAIN = 0
"""The view that changes nothing; the others must beat it on the same images."""
_LEAST_PER_CLASS = 3
"""Images of each class that a race begins with; fewer tell no views apart."""
_MOST_IMAGES = 400
"""By which views are ranked; more make it slow and hardly better."""
_PER_CLASS = 25
"""Images of each class under each view from which on a further view is worth more than further images, as the top-5
answers and labels of two real classifiers showed; with fewer, the plain view gets them all."""
_OPENING = 0.75
"""Share of the budget that the views begin with; the best ones share the rest."""
_SURE = 0.02
"""p-value up to which a committee is kept. Cross-fitted images share what they were read by, so the test finds more
than it should: at 0.05 it kept 16 of 200 committees on shuffled labels."""
_DOUBTFUL = 0.2
"""Committees whose advantage over the plain view is as likely as this to be luck get no further queries."""


@dataclass(frozen=True)
class Rung:
    """One stage of a race.

    Attributes:
        views: That ran, in the order of forward selection.
        num_images: That each of them was asked about.
        accuracies: Cross-fitted, of committees of the first 1, 2, ... of them.
        plain: Accuracy of the plain view on the same images, cross-validated.
        queries: Asked so far.
    """

    views: tuple[int, ...]
    num_images: int
    accuracies: tuple[float, ...]
    plain: float
    queries: int


@dataclass(frozen=True)
class Winner:
    """What a race ends with.

    Attributes:
        views: Of the committee in the order in which they joined; (PLAIN,) where none is better.
        num_images: That were asked under each of them.
        best: The best committee, whether it is better than the plain view or not.
        comparison: Of that one with the plain view, on the same images, which neither had seen; None without a race.
        rungs: Of the race.
    """

    views: tuple[int, ...]
    num_images: int
    best: tuple[int, ...] = ()
    comparison: Comparison | None = None
    rungs: tuple[Rung, ...] = ()


@dataclass(frozen=True)
class _Standing:
    """What is known after a rung.

    Attributes:
        rung: As it went.
        best: The views that promise most for the queries that are left.
        promises: Whether they promise more than the plain view.
        chosen: Places of the images by which they were chosen, (n,).
        correct: Which of those are read right by a selection that did not see them, (n,) bool.
    """

    rung: Rung
    best: tuple[int, ...]
    promises: bool
    chosen: Tensor
    correct: Tensor


@dataclass(frozen=True)
class Race:
    """The rules of a race; `run` is the entry point.

    Attributes:
        num_views: Candidates; the first is the plain view.
        num_classes: C.
        predictions: For which the result will be used; they set the price of a larger committee.
        size: Of the committee; None lets the price decide.
        most: Views of the largest committee.
        anyway: Whether it is run with few images under each view, too, where the plain view promises more.
    """

    num_views: int
    num_classes: int
    predictions: int
    size: int | None = None
    most: int = 10
    anyway: bool = False

    def opening(self, budget: int, num_images: int) -> tuple[int, int]:
        """Returns how many views begin, and with how many images each; no views where the budget is too small."""
        if self.size is None:
            images = min(_PER_CLASS * self.num_classes, num_images)
            views = min(self.num_views, int(_OPENING * budget) // max(1, images))
            if views > 1 or not self.anyway:
                return (views, images) if views > 1 else (0, 0)
        images = min(_LEAST_PER_CLASS * self.num_classes, num_images)
        views = min(self.num_views, budget // max(1, 2 * images))
        size = self.size or 1
        if views <= size:
            return 0, 0
        halvings = max(1, math.ceil(math.log2(views / size)))
        return views, min(num_images, max(images, budget // ((halvings + 1) * views)))

    def run(self, pool: AnswerPool, first: int) -> Winner:
        """Spends the budget of the pool.

        Args:
            pool: Asks and remembers.
            first: Images that are asked under the plain view before the race.
        """
        views, images = self.opening(pool.left - first, len(pool.order))
        pool.extend(PLAIN, min(len(pool.order), first if views else pool.left))
        if not views:
            return Winner((PLAIN,), pool.count(PLAIN))
        active, rungs = tuple(range(views)), []
        while True:
            for view in active:
                pool.extend(view, images)
            standing = self._standing(pool, active, images)
            rungs.append(standing.rung)
            left = tuple(view for view in standing.rung.views if view != PLAIN)
            keep = len(standing.best) if self.size is None else math.ceil(len(left) / 2)
            survivors = left[: max(len(standing.best), keep)]
            share = pool.left // (len(survivors) + 1)
            if set(survivors) <= set(standing.best) or len(survivors) == len(left) or share < images // 4:
                return self._finish(pool, standing, tuple(rungs))
            halvings = max(1, math.ceil(math.log2(len(survivors) / len(standing.best))))
            images = min(len(pool.order), images + min(images, max(1, share // halvings)))
            active = (PLAIN, *survivors)

    def _standing(self, pool: AnswerPool, active: tuple[int, ...], images: int) -> _Standing:
        chosen = pool.answered(active, min(images, _MOST_IMAGES))
        labels, kernels = pool.labels[chosen], pool.kernels(active, chosen)
        most = min(self.size or self.most, len(active))
        path = forward_selection(kernels, labels, self.num_classes, most=max(most, math.ceil(len(active) / 2)))
        views = tuple(active[place] for place in path.views)
        outputs = cross_fit(kernels, labels, self.num_classes, stratified_folds(labels), most=most)
        correct = outputs.argmax(2) == labels
        accuracies = correct.double().mean(1)
        price, curve, options = Price(pool.budget, self.predictions), smoothed(accuracies), []
        losses = [Readout(0.0, each, labels).loss for each in outputs]
        useful = 1 + losses.index(min(losses))  # larger committees read worse already
        for size in range(1, useful + 1) if self.size is None else (self.size,):
            reach = min(len(pool.order), images + pool.left // size)
            accuracy = extrapolated(float(curve[size - 1]), reach / images, size)
            options.append((price.worth(accuracy, size), -size))
        worth, negative = max(options)
        size = -negative
        plain = self._read(kernels[active.index(PLAIN)], labels)
        comparison = compare(correct[size - 1], plain)
        promises = worth >= self._plain_outlook(pool) and comparison.p_value <= _DOUBTFUL
        rung = Rung(views, images, tuple(accuracies.tolist()), float(plain.double().mean()), pool.asked)
        return _Standing(
            rung, views[:size], promises or self.size is not None or self.anyway, chosen, correct[size - 1]
        )

    def _plain_outlook(self, pool: AnswerPool) -> float:
        """Accuracy of the plain view if it got all that is left."""
        count = pool.count(PLAIN)
        chosen = pool.answered((PLAIN,), count)
        (kernel,) = pool.kernels((PLAIN,), chosen)
        readout = leave_one_out(kernel, pool.labels[chosen], self.num_classes)
        return extrapolated(readout.accuracy, min(len(pool.order), count + pool.left) / max(1, count), 1)

    def _finish(self, pool: AnswerPool, standing: _Standing, rungs: tuple[Rung, ...]) -> Winner:
        best, images = standing.best, standing.rung.num_images
        both = tuple(dict.fromkeys((*best, PLAIN)))
        if standing.promises:
            images = pool.extend_evenly(both, images)
        comparison = self._comparison(pool, standing, images)
        if comparison.p_value <= _SURE and best != (PLAIN,) and standing.promises:
            return Winner(best, images, best, comparison, rungs)
        pool.extend(PLAIN, min(len(pool.order), pool.count(PLAIN) + pool.left))
        return Winner((PLAIN,), pool.count(PLAIN), best, comparison, rungs)

    def _comparison(self, pool: AnswerPool, standing: _Standing, images: int) -> Comparison:
        """Compares on all images; those that chose the committee count as read by a selection without them."""
        both = tuple(dict.fromkeys((*standing.best, PLAIN)))
        chosen = pool.answered(both, images)
        labels, kernels = pool.labels[chosen], pool.kernels(both, chosen)
        correct = self._read(torch.stack(kernels[: len(standing.best)]).sum(0), labels)
        correct[torch.isin(chosen, standing.chosen)] = standing.correct[torch.isin(standing.chosen, chosen)]
        return compare(correct, self._read(kernels[both.index(PLAIN)], labels))

    def _read(self, kernel: Tensor, labels: Tensor) -> Tensor:
        """Which images are read right, (n,) bool, cross-fitted in the same folds as committees are.

        Not by leaving one out: where answers say nothing that reads less than chance, and a rival would look good.
        """
        outputs = cross_fit([kernel], labels, self.num_classes, stratified_folds(labels), most=1)
        return outputs[0].argmax(1) == labels
