"""One run by answers alone: the output transform first, then the prompt, all within a budget of queries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..core import AnswerKind, ConfigError
from ..data import CanvasSet
from ..ledger import Budget, Ledger, OpenVocabulary
from ..ledger.ledger import PRICE
from ..models import DualEncoder
from ..outputs import OUTPUTS, candidates, floor_of
from ..replies import OTHER
from .answers import Answered
from .asking import ask_some
from .budget.noise import drifted, measure_noise, repeats
from .budget.plan import allocation_of
from .config.train_config import FREE
from .fit.cross_fit import Choice, CrossFit, choose
from .fit.prompt_search import look_for_prompt
from .fit.query_session import Session
from .fit.zeroth_order import Candidate
from .opening import Calls, identity_of, journal_of, open_ledger
from .parts import Parts
from .query_finish import Outcome, finish_queries
from .report import Reporter
from .result import Result
from .seeds import stream

__all__ = ["run_queries"]

_COMPARED = 2
"""Images that must be asked twice to tell noise."""
_MANY_OTHERS = 0.2
_LEAST_SHARE = 1e-3
"""Of the smallest probabilities even the last bits differ in their logarithms; they do not decide what is noise."""
_LATE = 99
"""The replicate of the answers at the end; repeats have small numbers."""


def run_queries(parts: Parts, folder: Path, reporter: Reporter, *, began: float) -> Result:
    """Learns from answers alone and writes the run directory.

    Every answer is in `ledger.sqlite` before it is used, so a run that was stopped repeats itself from there: what it
    had asked is replayed, and it goes on where the answers end.

    Raises:
        BudgetError: The budget does not even pay for the first labelled answers.
        ConfigError: The ledger belongs to another run.
    """
    config = parts.config
    with open_ledger(folder / "ledger.sqlite", parts.model) as ledger:
        _check_same_run(ledger, folder, parts)
        budget = Budget(config.search.budget, max_requests=config.endpoint.max_requests)
        journal = journal_of(parts.model, ledger, budget, calls=Calls.of(config), identity=parts.weights_sha256)
        session = Session(parts, folder, journal, allocation_of(parts), reporter)
        if config.search.price_per_1000 is not None:
            ledger.write_meta(**{PRICE: str(config.search.price_per_1000)})
        journal.announce(session.plan.total, reporter.note, rate=config.endpoint.rate)
        return finish_queries(_learn(session), began=began)


def _check_same_run(ledger: Ledger, folder: Path, parts: Parts) -> None:
    data = parts.data
    facts = {
        "model": [parts.spec.name, parts.weights_sha256, identity_of(parts.model)],
        "config": {name: value for name, value in parts.config.options().items() if name not in FREE},
        "classes": data.classes,
        "images": [(images.names, images.labels.tolist()) for images in (data.train, data.val, data.test)],
    }
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    if ledger.read_meta("run") not in (None, digest):
        raise ConfigError(
            f"{folder} was started with other images, classes, settings or another model than these. "
            "Bring those back, or start a new run."
        )
    ledger.write_meta(run=digest)


def _learn(session: Session) -> Outcome:
    """Fits the output transform, then looks for a prompt where the budget pays for it."""
    plan = session.plan
    session.head = _first_answers(session)
    choices = _choices(session)
    session.kind, best = next(iter(choices.items()))
    baseline = choices.get(_baseline_kind(session), best)
    session.reporter.stage("validate", plan.val)
    val = ask_some(session.asker, session.canvases("val", shrink=False), session.chosen_val, partly=True)
    session.chosen_val = session.chosen_val[: len(val.labels)][val.heard]
    val = val.known
    none = Candidate("none", None, best.heads.full, val)
    trained = look_for_prompt(session, best, none) if plan.prompt and len(val.labels) else None
    _check_drift(session)
    return Outcome(session, baseline.heads.full, none, trained)


def _first_answers(session: Session) -> Answered:
    """Asks about labelled images without a prompt, and learns from it what kind of answers come."""
    plan, model, chosen = session.plan, session.parts.model, session.order[: session.plan.head]
    canvases = session.canvases("train", shrink=False)
    if isinstance(model, OpenVocabulary):
        model.expect(session.parts.data.classes)
    session.reporter.stage("no prompt", plan.head)
    answered = ask_some(session.asker, canvases, chosen, partly=True)
    if len(chosen) and not len(answered.labels):
        session.journal.budget.require(1)  # which is what the budget does not pay for
    chosen = chosen[: len(answered.labels)]
    if isinstance(model, OpenVocabulary) and model.open:
        session.journal.close_vocabulary()
        answered = ask_some(session.asker, canvases, chosen)  # from memory: as wide as the vocabulary is now
    # Images that are left without an answer take no further part.
    chosen, rest = chosen[answered.heard], session.order[len(chosen) :]
    answered, session.order = answered.known, torch.cat([chosen, rest])
    if isinstance(model, OpenVocabulary) and len(chosen):
        _warn_of_others(session, answered)
    if len(chosen) and session.parts.spec.answer in (AnswerKind.PROBABILITIES, AnswerKind.TOP_K):
        session.parts = replace(session.parts, floor=floor_of(answered.outputs))
    return _averaged(session, answered, canvases)


def _warn_of_others(session: Session, answered: Answered) -> None:
    """Says so when the answers name labels that are not known: nothing can be learned from those."""
    labels = session.parts.spec.labels or ()
    if OTHER not in labels:
        return
    share = float((answered.outputs.argmax(1) == labels.index(OTHER)).double().mean())
    if share > _MANY_OTHERS:
        session.notes.append(
            f"{share:.0%} of the answers name none of the {len(labels) - 1} known labels. Say which labels the model "
            "answers with: an attribute `labels` of the callable."
        )


def _averaged(session: Session, answered: Answered, canvases: Callable[[], CanvasSet]) -> Answered:
    """Asks a few images twice; where the answers differ much, asks all of them as often as that pays."""
    plan, count = session.plan, session.plan.noise // (2 if session.plan.prompt else 1)
    again = ask_some(
        session.asker, canvases, session.order[: min(count, len(answered.labels))], replicates=(1,), partly=True
    )
    if int(again.heard.sum()) < _COMPARED:
        return answered
    first, session.twice = (each[: len(again.labels)][again.heard] for each in (answered.outputs, session.order))
    again = again.known
    session.again = again.outputs
    session.noise = measure_noise(first, again.outputs, transform=_logarithms(session))
    times = repeats(session.noise, images=plan.head + plan.val, left=plan.search // 2)
    if times == 1:
        return answered
    session.notes.append(f"Answers to the same image differ; each labelled image is asked {times} times.")
    session.asker = replace(session.asker, repeats=times)
    return ask_some(session.asker, canvases, session.order[: len(answered.labels)])


def _logarithms(session: Session) -> Callable[[Tensor], Tensor]:
    """Returns what makes answers of the numbers that an output transform sees: logarithms of probabilities."""
    if session.parts.spec.answer in (AnswerKind.PROBABILITIES, AnswerKind.TOP_K):
        return lambda outputs: outputs.clamp_min(_LEAST_SHARE).log()
    return lambda outputs: outputs


def _check_drift(session: Session) -> None:
    """Asks once more about the images that were asked twice: a model that changed meanwhile spoils what was learned."""
    if session.noise is None or not session.plan.prompt:
        return
    canvases = session.canvases("train", shrink=False)
    first = ask_some(session.asker, canvases, session.twice, replicates=(0,))  # from memory
    session.journal.budget.keep = session.plan.test
    after = ask_some(session.asker, canvases, session.twice, replicates=(_LATE,), partly=True)
    if len(after.labels) < len(session.twice) or int(after.heard.sum()) < _COMPARED:
        return
    heard = after.heard
    draws = stream(session.parts.config.seed, "drift")
    if drifted(first.outputs[heard], session.again[heard], after.outputs[heard], generator=draws):
        session.notes.append(
            "The model's answers have drifted since the run began: the same images are answered differently now."
        )


def _kinds(session: Session) -> tuple[str, ...]:
    parts = session.parts
    if parts.config.output.kind != "auto":
        return (parts.config.output.kind or "",)
    classes = parts.data.classes
    return candidates(parts.spec, isinstance(parts.model, DualEncoder), classes=classes)


def _choices(session: Session) -> dict[str, Choice]:
    """Tries the output transforms on the first answers; with none of those, takes one that learns nothing."""
    parts, head, kinds = session.parts, session.head, _kinds(session)
    if len(head.labels) == 0:
        fixed = next(kind for kind in (*kinds, "first-k") if not OUTPUTS[kind].fits)
        if parts.config.output.kind not in ("auto", fixed):
            session.notes.append(
                f"Without labelled answers {parts.config.output.kind!r} cannot be fitted; {fixed!r} reads them."
            )
        return {fixed: Choice(CrossFit(parts.output(fixed).to("cpu")), 0.0, 0.0)}
    choices = choose(parts.output, kinds, head, session.folds[session.order[: len(head.labels)]])
    tried = ", ".join(f"{kind} {choice.accuracy:.3f}" for kind, choice in choices.items())
    session.reporter.note(f"output transforms, cross-validated on {len(head.labels)} answers: {tried}")
    return choices


def _baseline_kind(session: Session) -> str:
    """Returns what reads the answers in the first rung: the plainest transform that makes sense for the model."""
    return next((kind for kind in ("text", "names", "frequency") if kind in _kinds(session)), "")
