"""A race among views on the same images: what answers badly is dropped early, what answers well is asked about more.

Successive halving (Jamieson and Talwalkar 2016), with committees in mind: a view's rank is the place at which forward
selection takes it, so what stays are views that add to each other, not near copies of the best one. The race is a
pilot: it may spend a small share of the budget, and stops as soon as more images under the plain view promise more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..outputs import stratified_folds
from .bill import Price
from .evidence import LEVEL, Comparison, compare, loss_score, p_value_of
from .outlook import Forecast, slope
from .pool import AnswerPool
from .readout import kernel_of, kernels_of, squared_errors
from .selection import cross_fit, forward_selection

__all__ = ["PLAIN", "Race", "Rung", "Winner"]

PLAIN = 0
"""The view that changes nothing; the others must beat it on the same images."""
_PER_CLASS, _LEAST_PER_CLASS, _FEWEST = 10, 5, 3
"""Images of each class that a race begins with; from fewer than the second none opens, unless it is asked for anyway:
then from the third."""
_LEAST_IMAGES, _MOST_VIEWS = 40, 16
_LEAST_SPENT = 60
"""Queries of a first rung: with 200 in all, of which 50 are its share, a race costs half a point on average."""
_FEW, _FEW_VIEWS = 3, 4
_PAIR_IMAGES = 150
"""Where a first rung would have _FEW_VIEWS views or fewer from so many images each, and there are more labelled ones,
it has one view beside the plain one, and further ones join one by one where those before paid: fewer images do not tell
what to drop, and the queries of what is dropped are missed."""
_MOST_IMAGES, _MOST_COMPARED = 250, 500
"""By which views are ranked, and by which the best are judged; more make it slow and hardly better."""
_FIRST_SHARE, _PILOT_SHARE = 0.25, 0.25
"""Of the budget, for views that may turn out useless: of the first rung, and of all of them."""
_LABEL_SHARE, _LABEL_VIEWS = 0.4, 4
"""Where an answer is a label alone: of the budget, for the first rung, and the fewest views in it. One further view is
often the wrong one, and a label says too little for its images to be missed elsewhere."""
_FIXED_SHARE = 0.5
"""Of the budget, for the choice among views where the size of the committee is fixed."""
_PRIOR = 0.08
"""Of the plain view's errors, the share that a committee is trusted to save beyond what few images show: under poor
answers of real classifiers it did about nearly all data. The comparison at the end is made without it."""
_NOT_ALIKE = 0.999
"""Times the plain view's squared error: below it the other views said something more on the images at hand."""
_HOPELESS, _PROMISING, _SURE, _GOOD, _GREAT = 0.5, 0.5, 1.2, 2.0, 4.0
"""Standard errors by which a committee must be expected to win in the end: for a second look, for half of what is left
of the budget, for the rest of it, for one further view to be tried, and for as many as there are."""


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
        p_value: Of an advantage like that by chance, from the squared errors on those images.
        rungs: Of the race.
    """

    views: tuple[int, ...]
    num_images: int
    best: tuple[int, ...] = ()
    comparison: Comparison | None = None
    p_value: float = 1.0
    rungs: tuple[Rung, ...] = ()


@dataclass(frozen=True)
class _Standing:
    """What is known after a rung.

    Attributes:
        rung: As it went.
        best: The views that promise most for the queries that are left.
        score: Standard errors by which they are expected to win in the end.
        promises: Whether they are worth more than the plain view.
        chosen: Places of the images by which they were chosen, (n,).
        outputs: Of those, by a selection that did not see them, (n, C).
        plain: Of those under the plain view, (n, C).
    """

    rung: Rung
    best: tuple[int, ...]
    score: float
    promises: bool
    chosen: Tensor
    outputs: Tensor
    plain: Tensor


_Start = tuple[tuple[int, ...], int]
"""The views of a rung, and the images that each of them is asked about."""


@dataclass(frozen=True)
class Race:
    """The rules of a race; `run` is the entry point.

    Attributes:
        num_views: Candidates; the first is the plain view.
        num_classes: C.
        predictions: For which the result will be used; they set the price of a larger committee.
        size: Of the committee; None lets the price decide.
        most: Views of the largest committee.
        rich: Whether one answer says so much that labelled images come first, and views get what those leave over.
        labels_only: Whether an answer is a single label, so that more views are tried and at a higher price.
        anyway: Whether it is run with few images under each view, too, where the plain view promises more.
    """

    num_views: int
    num_classes: int
    predictions: int
    size: int | None = None
    most: int = 12
    rich: bool = False
    labels_only: bool = False
    anyway: bool = False

    def opening(self, budget: int, num_images: int) -> tuple[int, int]:
        """Returns how many views begin, and with how many images each; no views where budget or images are too few."""
        if num_images < _FEWEST * self.num_classes:
            return 0, 0
        usual, least, fewest = (
            max(1, min(count * self.num_classes, num_images)) for count in (_PER_CLASS, _LEAST_PER_CLASS, _FEWEST)
        )
        if self.size is None:
            least = max(least, min(_LEAST_IMAGES, usual))
        size = self.size or 1
        if size > 1:
            views, images = max(size, int(_FIXED_SHARE * budget) // usual), min(usual, budget // (size + 1))
        else:
            share, rungs, least_views = _FIXED_SHARE, 2, 2
            if self.size is None:
                share, rungs, least_views = (
                    (_LABEL_SHARE, 1, _LABEL_VIEWS) if self.labels_only else (_FIRST_SHARE, 1, 2)
                )
            spent = max(0, int(share * (budget - num_images * (self.rich or self._images_first))))
            if self.size is None and not self.anyway and spent < _LEAST_SPENT:
                return 0, 0
            views = min(self.num_views, max(least_views, min(_MOST_VIEWS, 1 + spent // usual)))
            pair = max(_PAIR_IMAGES, usual)
            if self._joins_singly and num_images > pair and 1 + spent // pair <= _FEW_VIEWS:
                views, spent = 2, min(spent, pair)
            images = min(num_images, spent // rungs // max(1, views - 1))
        if self.anyway and images < least:
            views, images = min(_MOST_VIEWS, budget // (2 * fewest)), fewest
            least = fewest if views > size else num_images + 1
        views = min(views, self.num_views)
        return (views, images) if views > 1 and images >= least else (0, 0)

    @property
    def _joins_singly(self) -> bool:
        """Whether a race with few views adds them one by one: where an answer says neither much nor too little."""
        return self.size is None and not self.rich and not self.labels_only and not self.anyway

    @property
    def _images_first(self) -> bool:
        """Whether views get what labelled images under the plain view leave over: one view seldom saves as much."""
        return (self.size == 1 or (self.size is None and self.rich)) and not self.anyway

    def run(self, pool: AnswerPool, first: int) -> Winner:
        """Spends the budget of the pool.

        Args:
            pool: Asks and remembers.
            first: Images that are asked under the plain view before the race.
        """
        views, images = self.opening(pool.remaining - first, len(pool.order))
        pool.extend(PLAIN, min(len(pool.order), first if views and not self._images_first else pool.remaining))
        if not views:
            return Winner((PLAIN,), pool.count(PLAIN))
        cap = pool.num_queries + int((_PILOT_SHARE if self.size is None else _FIXED_SHARE) * pool.remaining)
        active, standing = tuple(range(views)), None
        rungs: tuple[Rung, ...] = ()
        while True:
            for view in active:
                pool.extend(view, images)
            active = self._answering(pool, active, images)
            if active == (PLAIN,) and standing is not None:
                return self._finish(pool, standing, rungs)
            if active == (PLAIN,):
                pool.extend(PLAIN, min(len(pool.order), pool.count(PLAIN) + pool.remaining))
                return Winner((PLAIN,), pool.count(PLAIN))
            latest = self._standing(pool, active, images)
            rungs = (*rungs, latest.rung)
            if standing is not None and standing.promises and not latest.promises:
                return self._finish(pool, standing, rungs)  # the views that joined were of no use
            standing = latest
            following = self._with_more_views(pool, standing) or self._with_more_images(pool, standing, cap)
            if following is None:
                return self._finish(pool, standing, rungs)
            active, images = following

    def _answering(self, pool: AnswerPool, active: tuple[int, ...], images: int) -> tuple[int, ...]:
        """The views without those, fewest answers first, that leave more than half of the images unanswered."""
        least = max(1, len(pool.answered((PLAIN,), images)) // 2)
        while len(active) > 1 and len(pool.answered(active, images)) < least:
            worst = min(set(active) - {PLAIN}, key=lambda view: (len(pool.answered((view,), images)), -view))
            active = tuple(view for view in active if view != worst)
        return active

    def _with_more_views(self, pool: AnswerPool, standing: _Standing) -> _Start | None:
        """As many new views and half the images, or one view more, where all views that take part are of great use."""
        views, images = standing.rung.views, standing.rung.num_images
        singly = self._joins_singly and len(views) <= _FEW_VIEWS and images >= _PAIR_IMAGES
        score = _GOOD if singly else _GREAT
        if self.size is not None or not standing.promises or standing.score < score or len(standing.best) < len(views):
            return None
        images = images if singly else max(images // 2, min(images, _LEAST_PER_CLASS * self.num_classes))
        new = [view for view in range(self.num_views) if not pool.count(view)]
        further = new[: 1 if singly else len(views)]
        return ((*views, *further), images) if further and len(further) * images <= pool.remaining // 2 else None

    def _with_more_images(self, pool: AnswerPool, standing: _Standing, cap: int) -> _Start | None:
        """The better half of the views and twice the images, where those are needed and may be spent."""
        images = standing.rung.num_images
        ranked = tuple(view for view in standing.rung.views if view != PLAIN)
        survivors = ranked[: max(len(standing.best), math.ceil(len(ranked) / 2))]
        more = min(len(pool.order), 2 * images)
        price = sum(max(0, more - pool.count(view)) for view in (PLAIN, *survivors))
        enough = self.size is None and images >= _PER_CLASS * self.num_classes
        if (
            enough
            or more == images
            or pool.num_queries + price > cap
            or (self.size is None and standing.score < _HOPELESS)
        ):
            return None
        return (PLAIN, *survivors), more

    def _standing(self, pool: AnswerPool, active: tuple[int, ...], images: int) -> _Standing:
        chosen = pool.answered(active, min(images, _MOST_IMAGES))
        labels, scores = pool.labels[chosen], pool.scored(active, chosen)
        kernels = kernels_of(scores)
        place, most = active.index(PLAIN), min(self.size or self.most, len(active))
        # The plain view is the first of each committee: it is paid for in any case, and compared with.
        start = None if self.size == 1 else place
        path = forward_selection(kernels, labels, self.num_classes, most=max(most, len(active) // 2 + 1), start=start)
        outputs = cross_fit(kernels, labels, self.num_classes, stratified_folds(labels), most=most, start=start)
        plain = self._read(scores[place : place + 1], labels)
        losses, accuracies = squared_errors(outputs, labels), (outputs.argmax(2) == labels).double().mean(1)
        right = float((plain.argmax(1) == labels).double().mean())
        few = [scores[view] for view in path.views[:_FEW]]
        steep = slope([kernel_of(scores[place]), kernel_of(*few)], labels, self.num_classes)
        forecast = Forecast(squared_errors(plain, labels), 1 - right, steep, Price(pool.budget, self.predictions))
        views = tuple(active[each] for each in path.views)
        worths = {
            size: forecast.worth(losses[size - 1], size, self._reach(pool, size, images))
            for size in ((self.size,) if self.size else range(2, most + 1))
        }
        size = max(worths, key=lambda each: (worths[each], -each))
        score = forecast.score(losses[size - 1], size, self._reach(pool, size, images))
        alone = forecast.worth(forecast.plain, 1, self._reach(pool, 1, pool.count(PLAIN)))
        spare = self._is_spare(pool, size, images) and score > _HOPELESS
        better = float(losses[size - 1].mean()) < _NOT_ALIKE * float(forecast.plain.mean())
        likely = better and worths[size] + _PRIOR * (1 - right) > alone
        promises = self.size not in (None, 1) or self.anyway or spare or (likely and score > _PROMISING)
        rung = Rung(views, images, tuple(accuracies.tolist()), right, pool.num_queries)
        # The best single view comes first, as a cascade asks them.
        own = list(path.views[:size])
        ordered = forward_selection(kernels[own][:, own], labels, self.num_classes, most=size)
        best = tuple(views[each] for each in ordered.views)
        return _Standing(rung, best, score, promises, chosen, outputs[size - 1], plain)

    def _reach(self, pool: AnswerPool, size: int, images: int) -> int:
        """Images that what is left pays for under so many views."""
        return min(len(pool.order), images + pool.remaining // size)

    def _is_spare(self, pool: AnswerPool, size: int, images: int) -> bool:
        """Whether the budget pays for all images under the plain view and under so many others: nothing is at stake."""
        num_images = len(pool.order)
        return pool.remaining >= size * (num_images - images) + num_images - pool.count(PLAIN)

    def _finish(self, pool: AnswerPool, standing: _Standing, rungs: tuple[Rung, ...]) -> Winner:
        best, images, promises = standing.best, standing.rung.num_images, standing.promises
        decided = self.size not in (None, 1) or self.anyway or self._is_spare(pool, len(best), images)
        if promises and not decided:
            both = tuple(dict.fromkeys((*best, PLAIN)))
            images = pool.extend_evenly(both, images, least=(images + self._reach(pool, len(best), images)) // 2)
            score = self._comparison(pool, standing, images)[1]
            promises = score * math.sqrt(self._reach(pool, len(best), images) / max(1, images)) > _SURE
        if promises:
            images = pool.extend_evenly(best, images)
        if promises and PLAIN not in best:
            pool.extend(PLAIN, min(images, pool.count(PLAIN) + pool.remaining))
        comparison, score = self._comparison(pool, standing, images)
        p_value = p_value_of(score)
        if p_value <= LEVEL and best != (PLAIN,) and promises:
            return Winner(best, images, best, comparison, p_value, rungs)
        pool.extend(PLAIN, min(len(pool.order), pool.count(PLAIN) + pool.remaining))
        return Winner((PLAIN,), pool.count(PLAIN), best, comparison, p_value, rungs)

    def _comparison(self, pool: AnswerPool, standing: _Standing, images: int) -> tuple[Comparison, float]:
        """Compares on all images; those that chose the committee count as read by a selection without them."""
        both = tuple(dict.fromkeys((*standing.best, PLAIN)))
        chosen = pool.answered(both, min(images, pool.count(PLAIN), _MOST_COMPARED))
        labels, scores = pool.labels[chosen], pool.scored(both, chosen)
        ours = self._read(scores[: len(standing.best)], labels)
        place = both.index(PLAIN)
        theirs = self._read(scores[place : place + 1], labels)
        again, first = torch.isin(chosen, standing.chosen), torch.isin(standing.chosen, chosen)
        ours[again], theirs[again] = standing.outputs[first], standing.plain[first]
        score = loss_score(squared_errors(ours, labels), squared_errors(theirs, labels))
        return compare(ours.argmax(1) == labels, theirs.argmax(1) == labels), score

    def _read(self, scores: list[Tensor], labels: Tensor) -> Tensor:
        """Outputs (n, C) of each image from its scores, cross-fitted in the same folds as committees are.

        Not by leaving one out: where answers say nothing that reads less than chance, and a rival would look good.
        """
        num_classes, folds = self.num_classes, stratified_folds(labels)
        return cross_fit(kernel_of(*scores)[None, None], labels, num_classes, folds, most=1)[0]
