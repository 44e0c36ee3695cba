"""The search for a prompt by answers alone: where to start, and the search from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ....adapters import InBasis, Learning, Prompter
from ....core import BudgetError
from ....ledger import Journal
from ....optimizers import QUERY_OPTIMIZERS, AskTell, make_query_optimizer
from ....seeds import stream
from ....templates import make_basis
from ...answers import Answered
from ...budget.allocation import Allocation
from ...config.train_config import TrainConfig
from ...parts import Parts
from ...session import Session
from .cross_fit import Choice, choose
from .first_answers import FirstAnswers
from .initial_prompts import Start, starts_of
from .surrogate import Surrogate
from .zeroth_order import Candidate, OnlineReadout, QuerySearch

__all__ = ["PromptSearch", "SearchOutcome", "SearchTask"]

_STEP = 100
"""Queries per step."""


@dataclass(frozen=True)
class SearchTask:
    """What a search begins with.

    Attributes:
        first: The answers to training images without a prompt.
        choice: The output transform that reads those best.
        none: No prompt, as validated.
        val_positions: Positions of the validation images, (V,).
    """

    session: Session[Journal]
    allocation: Allocation
    first: FirstAnswers
    choice: Choice
    kind: str
    none: Candidate
    val_positions: Tensor

    @property
    def search_queries(self) -> int:
        """Queries for trials: repeats of labelled images are paid from the same share."""
        plan = self.allocation
        return plan.search - (self.session.repeats - 1) * (plan.head + plan.val)


@dataclass(frozen=True)
class SearchOutcome:
    """What a search ends with.

    Attributes:
        candidate: The prompt that validated best; None without a search, or where none beat its start.
        history: A line per validation.
    """

    candidate: Candidate | None
    history: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _StartTrial:
    """A start with the answers under it, and the transform fitted on those."""

    start: Start
    prompter: Prompter
    x: Tensor
    answered: Answered
    choice: Choice


class PromptSearch:
    """The search of a run; making it builds what it needs and checks that.

    Raises:
        AccessError: The surrogate gives no gradients.
        ConfigError: Settings do not go together.
    """

    def __init__(self, parts: Parts) -> None:
        self.surrogate = Surrogate(parts) if parts.config.search.surrogate else None
        self.prompter = _prompters(parts)
        first = self.prompter(_first_start(parts))
        self.num_params = first.num_params
        _optimizer(parts.config, first.start(generator=stream(parts.config.seed, "start")), 1)

    def run(self, task: SearchTask) -> SearchOutcome:
        """Searches for a prompt within its share of the budget."""
        if bool(task.none.correct.all()):
            return SearchOutcome(
                None, notes=["No prompt was looked for: every validation image is read right without one."]
            )
        plan, querier = task.allocation, task.session.querier
        budget, reserved, notes = querier.budget, plan.test + plan.noise // 2, list[str]()
        budget.keep = reserved + plan.final_head
        best, history, validated = None, list[dict[str, float]](), 1
        try:
            begin = querier.distinct
            trial = self._start(task)
            notes.append(f"The search started from: {trial.start.name}.")
            overdrawn = max(0, querier.distinct - begin - plan.start)
            search = _search(task, trial, task.search_queries - overdrawn)
            history = search.history
            if not trial.start.blank:
                validated += 1
                task.session.reporter.stage("start", len(task.val_positions))
                search.best = search.candidate(trial.start.name, trial.x)
            best = search.best
            notes.append(_run(task, search, validated - 1))
            budget.keep = reserved
            best = search.with_final_head(plan.final_head // task.session.repeats)
        except BudgetError as error:
            notes.append(f"The search for a prompt was cut short: {error}")
        budget.keep = reserved
        if best is None or best.x is None:
            return SearchOutcome(None, history, notes)
        return SearchOutcome(replace(best, num_validated=len(history) + validated), history, notes)

    def _start(self, task: SearchTask) -> _StartTrial:
        """Chooses the start by what a transform fitted under it reads right; a blank one needs no queries."""
        parts, plan, reporter = task.session.parts, task.allocation, task.session.reporter
        several = parts.config.method.learning is Learning.GRADIENTS
        starts = starts_of(parts) if several else [_first_start(parts)]
        surrogate_starts = self.surrogate.starts(task.session, task.first, task.choice) if self.surrogate else []
        starts += surrogate_starts
        each = plan.start // max(1, sum(not start.blank for start in starts))
        if each == 0:  # no answers to choose by
            return self._try(task, (surrogate_starts or starts)[0], 0)
        reporter.stage("starts", plan.start)
        trials = [self._try(task, start, each) for start in starts]
        for item in trials:
            accuracy, loss = item.choice.accuracy, item.choice.loss
            reporter.note(f"start {item.start.name}: accuracy {accuracy:.3f}, loss {loss:.3f} on {each} answers")
        return max(trials, key=lambda item: (item.choice.accuracy, -item.choice.loss))

    def _try(self, task: SearchTask, start: Start, each: int) -> _StartTrial:
        """Queries the model about `each` images under a start; with 0 the answers without a prompt have to serve."""
        session, first = task.session, task.first
        prompter = self.prompter(start)
        x = prompter.start(generator=stream(session.parts.config.seed, "start"))
        if start.blank or each == 0:
            count = each or len(first.answered.labels)
            answered = Answered(first.answered.outputs[:count], first.answered.labels[:count])
        else:
            canvas = session.parts.fitted(start.shrink)
            answered = session.query("train", canvas, first.order[:each], prompt=lambda images: prompter(images, x))
        folds = first.folds[first.order[: len(answered.labels)]]
        (choice,) = choose(session.parts.output, (task.kind,), answered, folds).values()
        return _StartTrial(start, prompter, x, answered, choice)


def _run(task: SearchTask, search: QuerySearch, validated: int) -> str:
    """Runs the search, some of whose validations are done already, and returns a note on how it ended."""
    if search.generations < 1:
        return "No search: what the budget leaves for it does not pay for one step."
    session = task.session
    begin, plan = session.querier.distinct, task.allocation
    validations = plan.selection // max(1, len(task.val_positions) * session.repeats) - validated
    session.reporter.stage("search", plan.search + plan.selection)
    why = search.run(validations=max(1, min(search.generations, validations)))
    return f"The search asked {session.querier.distinct - begin} queries and ended: {why}."


def _first_start(parts: Parts) -> Start:
    config = parts.config
    if config.method.learning is Learning.GRADIENTS:
        return starts_of(parts)[0]
    return Start(config.method.name, torch.zeros(1), config.prompt.fit == "shrink")


def _prompters(parts: Parts) -> Callable[[Start], Prompter]:
    """Returns what makes a prompter of a start; they share a basis or an encoder, which are costly to make."""
    config, template = parts.config, parts.template
    if config.method.learning is Learning.ANSWERS:
        options = {name: value for name, value in config.adapter.to_json().items() if value is not None}
        if config.method.per_image:
            options["device"] = parts.device
        prompter: Prompter = config.method.maker()(template, **options)
        return lambda start: prompter
    basis = make_basis(
        config.search.basis or "", template, size=config.search.basis_size, generator=stream(config.seed, "basis")
    )
    return lambda start: InBasis(template, basis, start.theta)


def _search(task: SearchTask, trial: _StartTrial, queries: int) -> QuerySearch:
    session, first, start = task.session, task.first, trial.start
    config = session.parts.config
    # Where nothing changes, the first answers are answers under the start as well, and there are more of them.
    answered, choice = (first.answered, task.choice) if start.blank else (trial.answered, trial.choice)
    chosen = first.order[: len(answered.labels)]
    refits = choice.heads.full.refits_in_training or config.output.kind == "auto"
    candidates = _optimizer(config, trial.x, 1).num_candidates
    batch = min(config.fit.batch_size or max(1, _STEP // candidates), len(first.order))
    generations = queries // (batch * candidates)
    return QuerySearch(
        session=session,
        canvas=session.parts.fitted(start.shrink),
        order=first.order,
        val_positions=task.val_positions,
        prompter=trial.prompter,
        optimizer=_optimizer(config, trial.x, max(1, generations)),
        generations=generations,
        readout=OnlineReadout(choice.heads, answered, chosen, first.folds, refits=refits),
        start=task.none,
        loss=config.fit.loss or "cross-entropy",
        batch=batch,
    )


def _optimizer(config: TrainConfig, x: Tensor, generations: int) -> AskTell:
    name, search = config.fit.optimizer or "", config.search
    has_momentum = "momentum" in QUERY_OPTIMIZERS[name].DEFAULTS.constants
    return make_query_optimizer(
        name,
        x,
        generator=stream(config.seed, "optimizer"),
        generations=generations,
        lr=config.fit.lr,
        sigma=search.sigma,
        population=search.population,
        radius=search.radius,
        decay=search.decay,
        decay_offset=search.decay_offset,
        sigma_decay=search.sigma_decay,
        least_step=search.least_step,
        momentum=config.fit.momentum if has_momentum else None,
    )
