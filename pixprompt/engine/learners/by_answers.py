"""Learning from answers alone: the output transform first, then the pixels of a prompt, within a budget of queries."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from ...adapters import BarPrompter, Coordinator, InBasis
from ...ledger import Journal
from ..budget.allocation import Allocation, allocate
from ..fit.answers.cross_fit import stratified_order
from ..fit.answers.first_answers import FirstAnswers, NoiseCheck, check_drift, check_noise, query_first
from ..fit.answers.initial_prompts import num_starts
from ..fit.answers.prompt_search import PromptSearch, SearchOutcome, SearchTask
from ..fit.answers.zeroth_order import Candidate
from ..parts import Parts
from ..saved.per_image_prompt import save_coordinator
from ..saved.prompt_png import origin_of
from ..session import Session
from .answers_learner import DRIFT, AnswersBaseline, AnswersLearner
from .learned import Learned, Solution

__all__ = ["ByAnswers"]

_NO_SEARCH = "none {} looked for, since fewer queries than a search needs are left when the output transform has its"


class ByAnswers(AnswersLearner[AnswersBaseline]):
    """A search among pixels by a zeroth-order method."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.search = PromptSearch(parts) if self.allocation.prompt else None

    def divide(self, budget: int) -> Allocation:
        """See `AnswersLearner`."""
        config, data = self.parts.config, self.parts.data
        return allocate(
            budget,
            num_train=self.num_train,
            num_val=len(data.val),
            num_test=len(data.test),
            has_prompt=config.method.file is not None,
            num_classes=len(data.classes),
            num_starts=num_starts(self.parts),
            test_images=config.search.test_images,
            search_anyway=config.search.search_anyway,
        )

    @property
    def num_params(self) -> int:
        """See `Learner`."""
        return self.search.num_params if self.search else 0

    def outlook(self) -> list[str]:
        """See `Learner`."""
        if self.parts.config.method.file is None:
            return []
        if self.allocation.prompt:
            return [f"The pixels of a prompt will be looked for with {self.allocation.prompt} queries."]
        return [f"No prompt: {self._why_not('will be')} With --views auto, views are raced instead."]

    def _why_not(self, verb: str) -> str:
        least = self.least_budget
        enough = "no budget pays for one" if least is None else f"a budget of {least} would pay for one"
        return f"{_NO_SEARCH.format(verb)}; {enough}, --search-anyway looks for one now."

    def measure_baseline(self, session: Session[Journal]) -> AnswersBaseline:
        """See `Learner`; fits the output transforms that may serve, and chooses by cross-validation.

        Raises:
            BudgetError: The budget does not even pay for the first labelled answers.
        """
        plan, plain, began = self.allocation, self.parts.plain, time.perf_counter()
        first = query_first(session, plan.head)
        session = replace(session, parts=replace(session.parts, floor=first.floor))
        noise, notes = self._check_noise(session, first)
        if noise and noise.repeats > 1:
            session = replace(session, repeats=noise.repeats)
            first = replace(first, answered=session.query("train", plain, first.positions))
        choices, choice_notes = self._choices(session, first)
        kind, choice = next(iter(choices.items()))
        session.reporter.stage("validate", plan.val)
        labels = torch.from_numpy(session.parts.data.val.labels.copy())
        positions = stratified_order(labels, self.parts.config.seed, "val")[: plan.val]
        val = session.query("val", plain, positions, partly=True)
        # The plainest transform that makes sense for the model reads the first rung.
        plainest = next((name for name in ("text", "names", "frequency") if name in self._kinds(session.parts)), kind)
        best = choice.heads.full
        return AnswersBaseline(
            train=first.answered,
            val=val.complete,
            output=choices.get(plainest, choice).heads.full,
            best=best,
            fallback=best,
            repeats=session.repeats,
            first=first,
            val_positions=positions[: len(val.labels)][val.mask],
            noise=noise,
            choice=choice,
            kind=kind,
            notes=(*first.notes, *notes, *choice_notes),
            began=began,
        )

    def _check_noise(self, session: Session[Journal], first: FirstAnswers) -> tuple[NoiseCheck | None, tuple[str, ...]]:
        plan = self.allocation
        noise = check_noise(
            session,
            first,
            count=plan.noise // (2 if plan.prompt else 1),
            num_labeled=plan.head + plan.val,
            num_left=plan.search // 2,
        )
        if noise is None or noise.repeats == 1:
            return noise, ()
        return noise, (f"Answers to the same image differ; each labelled image is asked {noise.repeats} times.",)

    def learn(self, session: Session[Journal], baseline: AnswersBaseline) -> Learned:
        """See `Learner`."""
        plan, querier = self.allocation, session.querier
        parts = replace(session.parts, floor=baseline.first.floor)
        session = replace(session, parts=parts, repeats=baseline.repeats)
        outcome, searched = SearchOutcome(None), self.search is not None and len(baseline.val.labels) > 0
        if self.search is not None and searched:
            task = SearchTask(
                session, plan, baseline.first, baseline.choice, baseline.kind, baseline.none, baseline.val_positions
            )
            outcome = self.search.run(task)
        notes = [*baseline.notes, *outcome.notes]
        if baseline.noise is not None and plan.prompt:
            querier.budget.keep = plan.test
            if check_drift(session, baseline.noise):
                notes.append(DRIFT)
        querier.budget.keep = 0
        best = outcome.candidate
        solution = self._solution(session, best, best.beats(baseline.none)) if best else None
        return Learned(
            solution=solution,
            num_params=best.prompter.num_params if best and best.prompter else 0,
            num_train=len(baseline.train.labels),
            num_val=len(baseline.val_positions),
            history=outcome.history,
            notes=[*notes, *self._notes(baseline)],
            images_per_second=querier.queries / max(time.perf_counter() - baseline.began, 1e-9),
            queries={"budget": parts.config.search.budget, "plan": plan.to_json()},
            searched=searched,
        )

    def _solution(self, session: Session[Journal], best: Candidate, is_better: bool) -> Solution | None:
        prompter, x, parts = best.prompter, best.x, session.parts
        if prompter is None or x is None:
            return None
        solution = Solution(
            canvas=best.canvas or parts.canvas,
            output=best.output,
            val=best.val,
            prompted=lambda images: prompter(images, x),
            is_better=is_better,
        )
        if isinstance(prompter, InBasis | BarPrompter):
            output = best.output.to_json()
            prompt = parts.template.to_prompt(prompter.theta(x), solution.canvas, output=output, **origin_of(parts))
            return replace(solution, prompt=prompt)
        if isinstance(prompter, Coordinator):
            coordinator = prompter
            return replace(solution, write=lambda path: save_coordinator(path, parts, coordinator, x, best.output))
        return solution

    def _notes(self, baseline: AnswersBaseline) -> list[str]:
        notes, plan = [], self.allocation
        if self.parts.config.method.file is not None and not plan.prompt:
            notes.append(f"No prompt kept: {self._why_not('was')}")
        if not len(baseline.val_positions):
            notes.append("Nothing was validated: so few answers all went into the output transform.")
        if not plan.test:
            notes.append("The test images were left alone; score them with: pixprompt evaluate")
        return notes
