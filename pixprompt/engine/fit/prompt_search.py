"""Looking for a prompt by answers alone: where to start, and the search from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...adapters import BarPrompter, InBasis, Prompter
from ...core import BudgetError, ConfigError
from ...ledger import OpenVocabulary
from ...optimizers import QUERY_OPTIMIZERS, AskTell, make_query_optimizer
from ...outputs import OUTPUTS
from ...templates import make_basis
from ..answers import Answered
from ..asking import ask_some
from ..budget.allocation import Allocation
from ..config.train_config import TrainConfig
from ..initial_prompts import Start, starts_of
from ..parts import Parts
from ..saved.per_image_prompt import coordinator_of
from ..seeds import stream
from .cross_fit import Choice, choose
from .query_session import Session
from .surrogate import load_surrogate, surrogate_starts
from .zeroth_order import Candidate, Judge, QuerySearch, Task

__all__ = ["check_search", "look_for_prompt"]

_STEP = 100
"""Queries per step."""


@dataclass(frozen=True)
class Tried:
    """A start with the answers under it, and what a transform fitted on those reads right."""

    start: Start
    prompter: Prompter
    x: Tensor
    answered: Answered
    choice: Choice


def check_search(parts: Parts, plan: Allocation) -> None:
    """Builds what a run will need, so that settings that make no sense show before anything is asked.

    Raises:
        AccessError: The surrogate gives no gradients.
        ConfigError: Settings do not go together, or the budget does not pay for one answer.
    """
    model, kind = parts.model, parts.config.output.kind or ""
    closed = not (isinstance(model, OpenVocabulary) and model.open)
    if not closed and not plan.head:
        raise ConfigError("the budget does not pay for one labelled answer, and without any the labels are not known.")
    known = parts.spec.num_outputs > 0  # or else its first answer will say
    if kind != "auto" and (closed or OUTPUTS[kind].fits) and known:
        parts.output(kind)
    if parts.config.search.surrogate:
        load_surrogate(parts)
    if plan.prompt:
        x = _prompters(parts)(_first_start(parts)).start(generator=stream(parts.config.seed, "start"))
        _optimizer(parts.config, x, 1)


def look_for_prompt(session: Session, choice: Choice, none: Candidate) -> Candidate | None:
    """Looks for a prompt within its share of the budget.

    Args:
        session: With the first answers.
        choice: The output transform without a prompt.
        none: Likewise, as validated.

    Returns:
        The prompt that validated best; None where none was looked for.
    """
    plan, budget = session.plan, session.journal.budget
    if bool(none.correct.all()):
        session.notes.append("No prompt was looked for: every validation image is read right without one.")
        return None
    late = plan.test + plan.noise // 2
    budget.keep = late + plan.final_head
    found = None
    try:
        begin = session.journal.distinct
        tried = _start(session, choice)
        session.notes.append(f"The search started from: {tried.start.name}.")
        beyond = max(0, session.journal.distinct - begin - plan.start)
        search = _search(session, tried, choice, none, session.search_queries - beyond)
        if not tried.start.blank:
            session.reporter.stage("start", len(session.chosen_val))
            search.best = search.candidate(tried.start.name, tried.x)
        found = search.best
        _run(session, search, 0 if tried.start.blank else 1)
        budget.keep = late
        found = search.with_final_head(plan.final_head // session.asker.repeats)
    except BudgetError as error:
        session.notes.append(f"The search for a prompt was cut short: {error}")
    budget.keep = late
    if found is None or found.x is None:
        return None
    return replace(found, looks=len(session.history) + (not tried.start.blank) + 1)


def _run(session: Session, search: QuerySearch, validated: int) -> None:
    """Runs the search; `validated` of its validations are done already."""
    if search.generations < 1:
        session.notes.append("No search: what the budget leaves for it does not pay for one step.")
        return
    begin = session.journal.distinct
    validations = session.plan.selection // max(1, len(session.chosen_val) * session.asker.repeats) - validated
    session.reporter.stage("search", session.plan.search + session.plan.selection)
    why = search.run(validations=max(1, min(search.generations, validations)))
    session.notes.append(f"The search asked {session.journal.distinct - begin} queries and ended: {why}.")


def _start(session: Session, plain: Choice) -> Tried:
    """Chooses the start by what a transform fitted under it reads right; the blank one is known already."""
    parts, make = session.parts, _prompters(session.parts)
    starts, learned = [_first_start(parts)], []
    if parts.config.method.name == "pixel":
        starts = starts_of(parts)
    if parts.config.search.surrogate:
        learned = surrogate_starts(session, plain)
    starts += learned
    each = session.plan.start // max(1, sum(not start.blank for start in starts))
    if each == 0:  # no answers to choose by
        return _try(session, (learned or starts)[0], make, 0)
    session.reporter.stage("starts", session.plan.start)
    tried = [_try(session, start, make, each) for start in starts]
    for item in tried:
        accuracy, loss = item.choice.accuracy, item.choice.loss
        session.reporter.note(f"start {item.start.name}: accuracy {accuracy:.3f}, loss {loss:.3f} on {each} answers")
    return max(tried, key=lambda item: (item.choice.accuracy, -item.choice.loss))


def _first_start(parts: Parts) -> Start:
    config = parts.config
    if config.method.name == "pixel":
        return starts_of(parts)[0]
    return Start(config.method.name, torch.zeros(1), config.prompt.fit == "shrink")


def _try(session: Session, start: Start, make: Callable[[Start], Prompter], each: int) -> Tried:
    """Asks about `each` images under a start; with 0 the plain answers have to serve."""
    prompter = make(start)
    x = prompter.start(generator=stream(session.parts.config.seed, "start"))
    if start.blank or each == 0:
        count = each or len(session.head.labels)
        answered = Answered(session.head.outputs[:count], session.head.labels[:count])
    else:
        canvases = session.canvases("train", shrink=start.shrink)
        answered = ask_some(session.asker, canvases, session.order[:each], prompt=lambda images: prompter(images, x))
    folds = session.folds[session.order[: len(answered.labels)]]
    (choice,) = choose(session.parts.output, (session.kind,), answered, folds).values()
    return Tried(start, prompter, x, answered, choice)


def _prompters(parts: Parts) -> Callable[[Start], Prompter]:
    """Returns what makes a prompter of a start; they share a basis, which is costly to make."""
    config, template = parts.config, parts.template
    if config.method.name == "bar":
        return lambda start: BarPrompter(template)
    if config.method.name == "blackvip":
        coordinator = coordinator_of(parts)
        return lambda start: coordinator
    basis = make_basis(
        config.search.basis or "", template, size=config.search.basis_size, generator=stream(config.seed, "basis")
    )
    return lambda start: InBasis(template, basis, start.theta)


def _search(session: Session, tried: Tried, plain: Choice, none: Candidate, queries: int) -> QuerySearch:
    config, start = session.parts.config, tried.start
    # Where nothing changes, the plain answers are answers under the start as well, and there are more of them.
    answered, choice = (session.head, plain) if start.blank else (tried.answered, tried.choice)
    chosen = session.order[: len(answered.labels)]
    refits = choice.heads.full.refits_in_training or config.output.kind == "auto"
    judge = Judge(choice.heads, answered, chosen, session.folds, refits=refits)
    candidates = _optimizer(config, tried.x, 1).num_candidates
    batch = min(config.fit.batch_size or max(1, _STEP // candidates), len(session.order))
    generations = queries // (batch * candidates)
    return QuerySearch(
        asker=session.asker,
        prompter=tried.prompter,
        optimizer=_optimizer(config, tried.x, max(1, generations)),
        generations=generations,
        task=Task(
            session.canvases("train", shrink=start.shrink),
            session.order,
            session.canvases("val", shrink=start.shrink),
            session.chosen_val,
        ),
        judge=judge,
        start=none,
        loss=config.fit.loss or "cross-entropy",
        batch=batch,
        seed=config.seed,
        asked=lambda: session.journal.distinct,
        on_line=session.on_line,
        shrink=start.shrink,
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
