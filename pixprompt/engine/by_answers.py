"""Learning from answers alone: the output transform first, then a prompt, all within a budget of queries."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..adapters import BarPrompter, Coordinator, InBasis
from ..core import ConfigError
from ..data import Data
from ..ledger import Budget, Journal, OpenVocabulary
from ..ledger.ledger import PRICE
from ..models import DualEncoder
from ..outputs import OUTPUTS, candidates
from .baseline import Baseline
from .budget.queries import allocation_of
from .config.train_config import FREE
from .fit.cross_fit import Choice, CrossFit, choose, stratified_order
from .fit.first_answers import FirstAnswers, NoiseCheck, check_drift, check_noise, query_first
from .fit.prompt_search import PromptSearch, SearchOutcome, SearchTask
from .fit.zeroth_order import Candidate
from .learned import Learned, Learner, Solution
from .opening import Calls, identity_of, journal_of, open_ledger
from .parts import Parts
from .report import Reporter
from .run_folder import RunFolder, identity
from .saved.per_image_prompt import save_coordinator
from .saved.prompt_png import trained_prompt
from .session import Session

__all__ = ["AnswersBaseline", "ByAnswers"]

_FEW = 400
"""Labelled answers up to which further ways to fit a linear transform compete."""


@dataclass(frozen=True, kw_only=True)
class AnswersBaseline(Baseline):
    """The answers without a prompt, as far as the budget pays for them.

    Attributes:
        first: To training images.
        noise: Images that were queried twice; None where too few were.
        choice: The output transform that serves best without a prompt, cross-fitted.
        kind: Its name.
        notes: What the user should know.
        began: When the run began to query, on the clock of `time.perf_counter`.
    """

    first: FirstAnswers
    val_positions: Tensor
    noise: NoiseCheck | None
    choice: Choice
    kind: str
    notes: tuple[str, ...]
    began: float

    @property
    def none(self) -> Candidate:
        """No prompt, as a candidate."""
        return Candidate("none", None, self.best, self.val)


class ByAnswers(Learner[Journal, AnswersBaseline]):
    """Every answer is in `ledger.sqlite` before it is used, so a stopped run repeats itself from there at no cost."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.allocation = allocation_of(parts)
        self._check_output()
        self.search = PromptSearch(parts) if self.allocation.prompt else None

    def _check_output(self) -> None:
        model, kind = self.parts.model, self.parts.config.output.kind or ""
        closed = not (isinstance(model, OpenVocabulary) and model.open)
        if not closed and not self.allocation.head:
            raise ConfigError(
                "the budget does not pay for one labelled answer, and without any the labels are not known."
            )
        known = self.parts.spec.num_outputs > 0  # or else its first answer will say
        if kind != "auto" and (closed or OUTPUTS[kind].fits) and known:
            self.parts.output(kind)

    @property
    def num_params(self) -> int:
        """See `Learner`."""
        return self.search.num_params if self.search else 0

    def queries(self) -> dict[str, int]:
        """See `Learner`."""
        return self.allocation.to_json()

    def open(self, folder: RunFolder, reporter: Reporter) -> Session[Journal]:
        """See `Learner`."""
        parts, config, data = self.parts, self.parts.config, self.parts.data
        ledger = open_ledger(folder.path / "ledger.sqlite", parts.model)
        try:
            own = identity(
                model=[parts.spec.name, parts.weights_sha256, identity_of(parts.model)],
                config={name: value for name, value in config.options().items() if name not in FREE},
                classes=data.classes,
                images=[(images.names, images.labels.tolist()) for images in (data.train, data.val, data.test)],
            )
            folder.check_identity(ledger.read_meta("run"), own)
            ledger.write_meta(run=own)
            budget = Budget(config.search.budget, max_requests=config.endpoint.max_requests)
            querier = journal_of(parts.model, ledger, budget, calls=Calls.of(config), identity=parts.weights_sha256)
            if config.search.price_per_1000 is not None:
                ledger.write_meta(**{PRICE: str(config.search.price_per_1000)})
        except BaseException:
            ledger.close()
            raise
        querier.announce(self.allocation.total, reporter.note, rate=config.endpoint.rate)
        return Session(replace(parts, data=self._tested(data)), folder, reporter, querier)

    def _tested(self, data: Data) -> Data:
        """Returns the data with the test images that the budget pays for, evenly over the classes."""
        labels = torch.from_numpy(data.test.labels.copy())
        order = stratified_order(labels, self.parts.config.seed, "test")
        return replace(data, test=data.test.subset(order[: self.allocation.test_images].tolist()))

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
        choices, more = self._choices(session, first)
        kind, choice = next(iter(choices.items()))
        session.reporter.stage("validate", plan.val)
        labels = torch.from_numpy(self.parts.data.val.labels.copy())
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
            notes=(*first.notes, *notes, *more),
            began=began,
        )

    def _check_noise(self, session: Session[Journal], first: FirstAnswers) -> tuple[NoiseCheck | None, tuple[str, ...]]:
        plan = self.allocation
        noise = check_noise(
            session,
            first,
            count=plan.noise // (2 if plan.prompt else 1),
            num_labelled=plan.head + plan.val,
            left=plan.search // 2,
        )
        if noise is None or noise.repeats == 1:
            return noise, ()
        return noise, (f"Answers to the same image differ; each labelled image is asked {noise.repeats} times.",)

    def _kinds(self, parts: Parts, *, few: bool = False) -> tuple[str, ...]:
        if parts.config.output.kind != "auto":
            return (parts.config.output.kind or "",)
        return candidates(parts.spec, isinstance(parts.model, DualEncoder), classes=parts.data.classes, few=few)

    def _choices(self, session: Session[Journal], first: FirstAnswers) -> tuple[dict[str, Choice], tuple[str, ...]]:
        """Tries the output transforms on the first answers; with none of those, takes one that learns nothing."""
        parts, answered = session.parts, first.answered
        kinds = self._kinds(parts, few=0 < len(answered.labels) <= _FEW)
        if len(answered.labels) == 0:
            fixed, wanted = (
                next(kind for kind in (*kinds, "first-k") if not OUTPUTS[kind].fits),
                parts.config.output.kind,
            )
            notes = (
                ()
                if wanted in ("auto", fixed)
                else (f"Without labelled answers {wanted!r} cannot be fitted; {fixed!r} reads them.",)
            )
            return {fixed: Choice(CrossFit(parts.output(fixed).to("cpu")), 0.0, 0.0)}, notes
        choices = choose(parts.output, kinds, answered, first.folds[first.positions])
        tried = ", ".join(f"{kind} {choice.accuracy:.3f}" for kind, choice in choices.items())
        session.reporter.note(f"output transforms, cross-validated on {len(answered.labels)} answers: {tried}")
        return choices, ()

    def learn(self, session: Session[Journal], baseline: AnswersBaseline) -> Learned:
        """See `Learner`."""
        plan, querier = self.allocation, session.querier
        parts = replace(session.parts, floor=baseline.first.floor)
        session = replace(session, parts=parts, repeats=baseline.repeats)
        found = SearchOutcome(None)
        if self.search and len(baseline.val.labels):
            task = SearchTask(
                session, plan, baseline.first, baseline.choice, baseline.kind, baseline.none, baseline.val_positions
            )
            found = self.search.run(task)
        notes = [*baseline.notes, *found.notes]
        if baseline.noise is not None and plan.prompt:
            querier.budget.keep = plan.test
            if check_drift(session, baseline.noise):
                notes.append(
                    "The model's answers have drifted since the run began: the same images are answered differently "
                    "now."
                )
        querier.budget.keep = 0
        best = found.candidate
        solution = self._solution(session, best, best.beats(baseline.none)) if best else None
        return Learned(
            solution=solution,
            num_params=best.prompter.num_params if best and best.prompter else 0,
            num_train=len(baseline.train.labels),
            num_val=len(baseline.val_positions),
            history=found.history,
            notes=[*notes, *self._notes(baseline)],
            images_per_second=querier.queries / max(time.perf_counter() - baseline.began, 1e-9),
            queries={"budget": parts.config.search.budget, "plan": plan.to_json()},
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
            prompt = trained_prompt(replace(parts, canvas=solution.canvas), prompter.theta(x), best.output)
            return replace(solution, prompt=prompt)
        if isinstance(prompter, Coordinator):
            coordinator = prompter
            return replace(solution, write=lambda path: save_coordinator(path, parts, coordinator, x, best.output))
        return solution

    def _notes(self, baseline: AnswersBaseline) -> list[str]:
        notes, plan = [], self.allocation
        if self.parts.config.method.file is not None and not plan.prompt:
            notes.append("No prompt was looked for: what the budget leaves for one does not pay.")
        if not len(baseline.val_positions):
            notes.append("Nothing was validated: so few answers all went into the output transform.")
        if not plan.test:
            notes.append("The test images were left alone; score them with: pixprompt evaluate")
        return notes
