"""Learning from answers alone which views of an image to ask under, and what reads the answers: the default.

A race finds the views: the same images are asked under each, and a readout refitted on the answers judges them. What
is kept is one view or a committee of several, with one output transform over all answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...core import AnswerKind, ConfigError
from ...ledger import Journal
from ...ledger.ledger import PER_PREDICTION
from ...outputs import OUTPUTS, to_scores
from ...outputs.scores import NAMED
from ...prompt import Committee, Prompt
from ...search.bill import Price
from ...search.evidence import detectable_gain
from ...search.pool import AnswerPool
from ...search.race import PLAIN, Race, Winner
from ...views import catalogue, view_name
from ..answers import Answered
from ..budget.allocation import Allocation, allocate_views
from ..fit.answers.cascade import FittedCascade, fit_cascade
from ..fit.answers.cross_fit import Choice, choose, stratified_order
from ..fit.answers.first_answers import FirstAnswers, check_drift, check_noise, query_first
from ..parts import Parts
from ..saved.prompt_png import origin_of
from ..session import Session
from .answers_learner import DRIFT, FEW, AnswersBaseline, AnswersLearner
from .learned import Learned, Solution
from .learned_page import LearnedPage

__all__ = ["ByViews", "ViewsBaseline"]

_MOST_VALIDATED = 500
_LEAST_VALIDATED = 50
_DISAGREEMENT = 0.3
"""Share of the images that just one of two readings gets right, as long as nothing is known about it."""
_RICH = 2
"""Scores per class from which on one answer says more than a further view of the same image would."""


@dataclass(frozen=True, kw_only=True)
class ViewsBaseline(AnswersBaseline):
    """The answers without a prompt, and those under the views that were raced against them.

    Attributes:
        pages: The candidates as prompts; the first shows images as they are.
        pool: All answers to training images.
        winner: What the race ended with.
    """

    pages: tuple[Prompt, ...]
    pool: AnswerPool
    winner: Winner


class ByViews(AnswersLearner[ViewsBaseline]):
    """A race among views within the budget; every answer is in the ledger before it is used."""

    def __init__(self, parts: Parts) -> None:
        self.learned = LearnedPage(parts)
        super().__init__(parts)

    @cached_property
    def catalogue(self) -> tuple[Prompt, ...]:
        """The candidates that are not learned; the first shows images as they are."""
        return tuple(view.prompt(self.parts.plain, **origin_of(self.parts)) for view in catalogue())

    @property
    def size(self) -> int | None:
        """Views that the user asks for; None leaves it to the race."""
        views = self.parts.config.search.views
        return None if views in (None, "auto") else int(views)

    @cached_property
    def race(self) -> Race:
        """The rules of the race.

        Raises:
            ConfigError: More views are asked for than there are.
        """
        num_views = len(self.catalogue) + bool(self.learned)
        if (self.size or 1) > num_views:
            raise ConfigError(f"--views {self.size}: only {num_views} views are known.")
        parts = self.parts
        search, num_classes = parts.config.search, len(parts.data.classes)
        rich = parts.spec.answer not in NAMED and parts.spec.num_outputs > _RICH * num_classes
        return Race(
            num_views,
            num_classes,
            search.predictions,
            size=self.size,
            rich=rich,
            labels_only=parts.spec.answer is AnswerKind.LABEL,
            anyway=search.search_anyway,
        )

    def divide(self, budget: int) -> Allocation:
        """See `AnswersLearner`."""
        parts = self.parts
        return allocate_views(
            budget,
            num_train=self.num_train,
            num_test=len(parts.data.test),
            num_classes=len(parts.data.classes),
            size=self.size,
            test_images=parts.config.search.test_images,
            opens=lambda queries, images: self.race.opening(queries, images)[0] > 0,
        )

    @property
    def num_params(self) -> int:
        """See `Learner`; of the largest view."""
        return max(page.num_params for page in self.catalogue)

    def outlook(self) -> list[str]:
        """See `Learner`."""
        plan = self.allocation
        if not plan.search:
            return [f"No prompt will be looked for: {self.why_not}."]
        views, images = self.race.opening(plan.search, self.num_train)
        gain = detectable_gain(images, _DISAGREEMENT)
        least_gain = f"a gain of {gain:.0%}" if gain < 1 else "no gain whatever"
        others = "the image as it is and learned pixels" if self.learned else "the image as it is"
        return [
            f"{views} views will be raced, {others} among them, from {images} images each. Evidence from so few would "
            f"find {least_gain} 8 times in 10; what looks good is asked about further.",
            "A committee costs a query per view and prediction: --views fixes their number, --predictions weighs them.",
        ]

    def measure_baseline(self, session: Session[Journal]) -> ViewsBaseline:
        """See `Learner`; the race is part of it, since the plain view takes part.

        Raises:
            BudgetError: The budget does not even pay for the first labelled answers.
        """
        plan, budget, began = self.allocation, session.querier.budget, time.perf_counter()
        learning = self.learned.allocate(self.parts, plan.search)
        if not self.race.opening(plan.search - learning.total, self.num_train)[0]:
            learning = Allocation()
        first = query_first(session, max(plan.head, learning.head))
        session = replace(session, parts=replace(session.parts, floor=first.floor))
        noise = check_noise(session, first, count=min(plan.noise, plan.noise // 2 or 1), num_labeled=0, num_left=0)
        begin = session.querier.distinct
        learned, page_notes = self._learn_page(session, learning, first)
        num_queries = plan.head + plan.search - (session.querier.distinct - begin)
        budget.keep = plan.test + plan.noise // 2
        pages = (self.catalogue[PLAIN], *learned, *self.catalogue[PLAIN + 1 :])
        spec, order = session.parts.spec, first.order[: self.num_train]
        pool = AnswerPool(
            query=lambda view, chosen: session.query_pages("train", [pages[view]], chosen).outputs,
            order=order,
            labels=torch.from_numpy(session.parts.data.train.labels.copy())[order],
            scores=lambda outputs: to_scores(outputs, spec.answer, spec.floor),
            budget=num_queries,
        )
        session.reporter.stage("views", num_queries)
        pool.extend(PLAIN, learning.head)  # asked for the search already
        winner = replace(self.race, num_views=len(pages)).run(pool, plan.head)
        count = pool.count(PLAIN)
        plain = Answered(pool.answers(PLAIN, count), pool.labels[:count]) if count else _nothing()
        first = replace(first, answered=plain.complete, order=torch.cat([order[:count][plain.mask], order[count:]]))
        choices, notes = self._choices(session, first)
        kind, choice = next(iter(choices.items()))
        plainest = next((name for name in ("text", "names", "frequency") if name in self._kinds(session.parts)), kind)
        val = self._validated(session, winner, pool.remaining)
        return ViewsBaseline(
            train=first.answered,
            val=session.query("val", session.parts.plain, val).complete if len(val) else _nothing(),
            output=choices.get(plainest, choice).heads.full,
            best=choice.heads.full,
            fallback=choice.heads.full,
            first=first,
            val_positions=val,
            noise=noise,
            choice=choice,
            kind=kind,
            notes=(*first.notes, *notes, *page_notes),
            began=began,
            pages=pages,
            pool=pool,
            winner=winner,
        )

    def _learn_page(
        self, session: Session[Journal], learning: Allocation, first: FirstAnswers
    ) -> tuple[list[Prompt], list[str]]:
        """Learns the pixels that take part in the race, where they are asked for and there will be one."""
        plan = self.allocation
        if not self.learned or not plan.search:
            return [], []
        kind, choice = next(iter(self._choices(session, first)[0].items()))
        later = plan.head + plan.search - len(first.positions) - (learning.total - learning.head)
        return self.learned.learn(session, learning, first, choice, kind, later + plan.test + plan.noise // 2)

    def learn(self, session: Session[Journal], baseline: ViewsBaseline) -> Learned:
        """See `Learner`."""
        plan, querier, winner = self.allocation, session.querier, baseline.winner
        session = replace(session, parts=replace(session.parts, floor=baseline.first.floor))
        solution, cascade, notes = None, None, list(baseline.notes)
        if winner.views != (PLAIN,):
            solution, cascade = self._solution_of(session, baseline)
            notes += self._warnings(baseline)
        if baseline.noise is not None and winner.rungs:
            querier.budget.keep = plan.test
            if check_drift(session, baseline.noise):
                notes.append(DRIFT)
        querier.budget.keep = 0
        per_prediction = len(winner.views) if cascade is None else cascade.chosen.per_prediction
        querier.ledger.write_meta(**{PER_PREDICTION: str(round(per_prediction, 3))})
        rungs = 1 + len(winner.views) * (solution is not None)
        return Learned(
            solution=solution,
            num_params=sum(baseline.pages[view].num_params for view in winner.views),
            num_train=winner.num_images if winner.views != (PLAIN,) else len(baseline.train.labels),
            num_val=len(baseline.val_positions),
            history=[],
            notes=[*notes, *self._remarks(baseline)],
            images_per_second=querier.queries / max(time.perf_counter() - baseline.began, 1e-9),
            facts={"views": {**self._facts(baseline), "cascade": None if cascade is None else cascade.facts()}},
            queries={
                "budget": session.parts.config.search.budget,
                "plan": plan.to_json(),
                "per_prediction": round(per_prediction, 3),
            },
            test_images=min(len(session.parts.data.test), plan.test // rungs),
            searched=winner.comparison is not None,
        )

    def _solution_of(self, session: Session[Journal], baseline: ViewsBaseline) -> tuple[Solution, FittedCascade | None]:
        """Fits the output transform on all answers under the chosen views, and the cascade that is worth it."""
        winner, pool, parts = baseline.winner, baseline.pool, session.parts
        count = winner.num_images
        outputs = torch.cat([pool.answers(view, count) for view in winner.views], dim=1)
        answered = Answered(outputs, pool.labels[:count])
        positions = pool.order[:count][answered.mask]
        folds = baseline.first.folds[positions]
        answered, num_views = answered.complete, len(winner.views)
        choice = self._read(session, answered, folds, num_views)
        pages = tuple(baseline.pages[view] for view in winner.views)
        val = None
        if len(baseline.val_positions):
            val = session.query_pages("val", pages, baseline.val_positions)
        cascade, output = None, choice.heads.full
        setting = parts.config.search.cascade or ("auto" if self.size is None else "none")
        if num_views > 1 and setting == "auto":
            own = Answered(answered.outputs[:, : parts.spec.num_outputs], answered.labels)
            price = Price(pool.budget, parts.config.search.predictions)
            cascade = fit_cascade(self._read(session, own, folds, 1), choice, answered, folds, val, num_views, price)
        saved = {} if cascade is None else cascade.to_json()
        committee = Committee(pages, output=output.to_json(), cascade=saved, **origin_of(parts))
        reader = output if cascade is None else cascade.output
        held_out = choice.heads.logits(answered.outputs, folds) if cascade is None else cascade.held_out
        solution = Solution(
            canvas=pages[0].canvas,
            output=reader,
            val=val,
            prompt=committee,
            is_better=True,
            held_out=(positions, held_out),
        )
        return solution, cascade

    def _read(self, session: Session[Journal], answered: Answered, folds: Tensor, num_views: int) -> Choice:
        """Returns the output transform that reads the answers side by side best, by cross-validation."""
        parts = session.parts
        kinds = self._kinds(parts, few=len(answered.labels) <= FEW)
        if num_views > 1 and len(kinds) > 1:  # view by view, a table of bare labels reads about as well
            tables = ("blm",) if parts.spec.answer is AnswerKind.LABEL else ()
            kinds = tuple(kind for kind in kinds if OUTPUTS[kind].joint or kind in tables)
        choices = choose(lambda kind: parts.output(kind, views=num_views), kinds, answered, folds)
        return next(iter(choices.values()))

    def _validated(self, session: Session[Journal], winner: Winner, num_left: int) -> Tensor:
        """Returns positions of the validation images that what is left pays for, without a prompt and with it."""
        labels = torch.from_numpy(session.parts.data.val.labels.copy())
        price = len({PLAIN, *winner.views})
        count = min(len(labels), _MOST_VALIDATED, num_left // price)
        if count < min(_LEAST_VALIDATED, len(labels)):
            count = 0
        return stratified_order(labels, session.parts.config.seed, "val")[:count]

    @property
    def num_test(self) -> int:
        """See `AnswersLearner`."""
        return self.allocation.test

    def _warnings(self, baseline: ViewsBaseline) -> list[str]:
        pages = [baseline.pages[view] for view in baseline.winner.views]
        turned = [view_name(page) for page in pages if page.canvas.flip or page.canvas.rotation]
        if not turned:
            return []
        return [
            f"Some views turn the image ({'; '.join(turned)}). They won on these images; where a turn changes what an "
            "image means, as with digits and text, look at the mistakes before relying on them."
        ]

    def _remarks(self, baseline: ViewsBaseline) -> list[str]:
        plan, winner, notes = self.allocation, baseline.winner, []
        comparison, num_views = winner.comparison, len(winner.views)
        if comparison is None:
            notes.append(f"No prompt kept: none was looked for, since {self.why_not}.")
        else:
            against = (
                f"{comparison.gain:+.1%} against the image as it is on the same {comparison.num_images} images "
                f"(p = {winner.p_value:.2g})"
            )
            if winner.views == (PLAIN,):
                notes.append(f"No prompt kept: the best of the views gained {against}, too little evidence.")
            else:
                names = "; ".join(view_name(baseline.pages[view]) for view in winner.views)
                notes.append(f"{num_views} {'view' if num_views == 1 else 'views'}, cross-fitted {against}: {names}.")
                notes.append(
                    f"Each prediction takes {num_views} {'query' if num_views == 1 else 'queries'}. The output "
                    f"transform has read {winner.num_images} images; without a prompt, {len(baseline.train.labels)}."
                )
        if not plan.test:
            notes.append("The test images were left alone; score them with: pixprompt evaluate")
        return notes

    @property
    def why_not(self) -> str:
        """Why the budget pays for no race, and which would."""
        if self.least_budget is None:
            return f"{self.num_train} labelled images are too few to tell views apart"
        return f"a race needs a budget of {self.least_budget} queries or more (--search-anyway runs one with fewer)"

    def _facts(self, baseline: ViewsBaseline) -> dict[str, Any]:
        """Returns what the result tells of the race."""
        winner, names = baseline.winner, [view_name(page) for page in baseline.pages]
        comparison = winner.comparison
        return {
            "views": [names[view] for view in winner.views],
            "images": winner.num_images,
            "evidence": None
            if comparison is None
            else {
                "gain": comparison.gain,
                "interval": list(comparison.interval),
                "p": winner.p_value,
                "images": comparison.num_images,
            },
            "race": [
                {
                    "views": [names[view] for view in rung.views],
                    "images": rung.num_images,
                    "accuracies": list(rung.accuracies),
                    "plain": rung.plain,
                    "queries": rung.queries,
                }
                for rung in winner.rungs
            ],
        }


def _nothing() -> Answered:
    return Answered(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))
