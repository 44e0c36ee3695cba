"""The student of a run by answers: a local model learns from what was paid for, and is weighed against the paid one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..ledger import Querier
from ..search.bill import Price
from ..seeds import stream
from .fit.answers.student import Evidence, fit_student, judge
from .ladder import Ladder
from .learners.answers_learner import AnswersBaseline
from .learners.learned import Learned
from .parts import Parts, canvases_of
from .saved.pictures import draw_student
from .saved.student import Student
from .session import Session

__all__ = ["describe_student", "learn_student"]


def learn_student(
    session: Session[Querier], baseline: AnswersBaseline, learned: Learned, ladder: Ladder, num_queries: int
) -> dict[str, Any] | None:
    """Fits the student, writes `student.safetensors` and `student.png`, and returns what the result says of it.

    It learns from all labelled training images, whose labels cost nothing, and from the classes that the paid model,
    under the saved prompt, reads in unlabelled ones.

    Args:
        baseline: The paid answers without a prompt.
        num_queries: That are set aside for unlabelled images.

    Raises:
        BudgetError: Those queries are not there any more.
    """
    parts = session.parts
    if parts.student is None or ladder.saved is None:
        return None
    train = _features(session, "train")
    labels = torch.from_numpy(parts.data.train.labels.copy())
    answered = _answers(session, ladder, num_queries)
    fit = fit_student(
        train, labels, baseline.first.folds, classes=parts.data.classes, spec=parts.student.spec, answered=answered
    )
    output = fit.output
    val, test = (_evidence(session, ladder, output, split, baseline.val_positions) for split in ("val", "test"))
    positions, paid = _held_out(baseline, learned, ladder)
    evidence = [Evidence(fit.held_out[positions], paid, labels[positions])] if len(positions) else []
    evidence += [] if val is None else [val]
    held_out = Evidence.joined(evidence) if evidence else None
    search = parts.config.search
    per_prediction = float(learned.queries.get("per_prediction", 1)) if ladder.best != "none" else 1.0
    price = Price(max(1, search.budget or 0), search.predictions)
    report = judge(held_out, val, test, per_prediction, price, output.kind)
    Student(parts.student, output, report.threshold).save(session.folder.path, parts.config)
    facts = {
        "model": parts.student.spec.name,
        "output": output.kind,
        "labelled": len(labels),
        "asked": 0 if answered is None else len(answered[1]),
        "taught": fit.taught,
        **report.to_json(),
    }
    if report.curve:
        draw_student(session.folder.path, facts, per_prediction, search.price_per_1000)
    return facts


def describe_student(parts: Parts, num_queries: int) -> Iterator[str]:
    """Yields what a dry run says of the student."""
    if parts.student is None:
        return
    further = f" and from the answers to {num_queries} queries about unlabelled ones" if num_queries else ""
    yield (
        f"A student, {parts.student.model.spec.name}, learns from {len(parts.data.train)} labelled images{further}; "
        "the result says what it reaches alone and in front of the paid model."
    )


def _features(session: Session[Querier], split: str, chosen: Tensor | None = None) -> Tensor:
    student = session.parts.student
    if student is None:
        return torch.zeros(0, 0)
    pixels = session.canvases(split, student.canvas).pixels
    positions = np.arange(len(pixels)) if chosen is None else chosen.numpy()
    session.reporter.stage(f"student, {split}", len(positions))
    rows = []
    for part in np.array_split(positions, max(1, -(-len(positions) // 32))):
        rows.append(student(np.asarray(pixels[part])))
        session.reporter.advance(len(part))
    return torch.cat(rows)


def _answers(session: Session[Querier], ladder: Ladder, num_queries: int) -> tuple[Tensor, Tensor] | None:
    """Returns features (M, D) of unlabelled images, and the classes (M,) that the paid model reads in them."""
    parts, saved = session.parts, ladder.saved
    if parts.unlabelled is None or parts.student is None or saved is None or saved.prompt is None:
        return None
    order = torch.randperm(len(parts.unlabelled), generator=stream(parts.config.seed, "student"))
    chosen = order[: num_queries // len(saved.prompt.pages)]
    images: ImageSet = parts.unlabelled.subset(chosen.tolist())
    session.reporter.stage("unlabelled", num_queries)
    paid = session.query_pages(images, saved.prompt.pages, torch.arange(len(images)))
    canvases = canvases_of(
        images, parts.student.canvas, parts.config.data.workers, session.reporter, "student, unlabelled"
    )
    readable = torch.tensor([name not in {skipped for skipped, _ in canvases.skipped} for name in images.names])
    if not bool((paid.mask & readable).any()):
        return None
    features = torch.cat(
        [parts.student(np.asarray(canvases.pixels[start : start + 32])) for start in range(0, int(readable.sum()), 32)]
    )
    answered = paid.mask[readable]
    outputs = paid.outputs[readable][answered]
    return features[answered], saved.output.to("cpu")(outputs).argmax(1)


def _evidence(
    session: Session[Querier], ladder: Ladder, output: Any, split: str, positions: Tensor | None
) -> Evidence | None:
    """Returns what the student and the paid model make of a split; None where it was not asked about."""
    saved = ladder.saved
    answered = None if saved is None else saved.val if split == "val" else saved.test
    if saved is None or answered is None or not len(answered.labels):
        return None
    chosen = torch.arange(len(answered.labels)) if split == "test" or positions is None else positions
    if len(chosen) != len(answered.labels) or not bool(answered.mask.any()):
        return None
    features, mask = _features(session, split, chosen), answered.mask
    return Evidence(output(features)[mask], saved.output.to("cpu")(answered.outputs[mask]), answered.labels[mask])


def _held_out(baseline: AnswersBaseline, learned: Learned, ladder: Ladder) -> tuple[Tensor, Tensor]:
    """Returns positions of training images, and what reads their paid answers without having seen them."""
    if ladder.best != "none" and learned.solution is not None:
        nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0, len(learned.solution.output.classes))
        return learned.solution.held_out or nothing
    first, positions = baseline.first, baseline.first.positions
    if not len(positions):
        return positions, torch.zeros(0, 0)
    return positions, baseline.choice.heads.logits(first.answered.outputs, first.folds[positions])
