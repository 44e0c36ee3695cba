"""A local model that learns from what a run has paid for: its head, what it reaches alone, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ....core import OutputTransform
from ....outputs import make_output
from ....search.bill import Price
from ....search.cascade import Cascade, cascade_curve, choose_cascade, margins
from ...answers import accuracy
from ...result import Score, wilson

__all__ = ["SHARES", "Evidence", "StudentFit", "StudentReport", "fit_student", "judge"]

SHARES = tuple(step / 20 for step in range(21))
"""Of the images that the paid model is asked about, those of which the student is least sure."""
_KINDS = ("lda", "ridge", "linear")
_LEAST = 20
"""Held-out images below which nothing can be said about a threshold."""


@dataclass(frozen=True)
class StudentFit:
    """A head on the features of a local model.

    Attributes:
        output: Fitted on everything.
        held_out: Logits (N, K) of the labelled images, each by a head that has not seen it.
        taught: Whether the answers about unlabelled images are among what it learned from.
    """

    output: OutputTransform
    held_out: Tensor
    taught: bool


def fit_student(
    features: Tensor,
    labels: Tensor,
    folds: Tensor,
    *,
    classes: Sequence[str],
    spec: Any,
    answered: tuple[Tensor, Tensor] | None = None,
) -> StudentFit:
    """Fits heads of several kinds, with and without the paid answers about unlabelled images; keeps the best.

    Args:
        features: (N, D) of labelled images.
        labels: (N,) int64.
        folds: (N,), for cross-validation.
        classes: K names.
        answered: Features (M, D) of unlabelled images, and the classes (M,) that the paid model read; None for none.
    """
    best: tuple[tuple[float, float], StudentFit] | None = None
    for taught in (False, True) if answered is not None else (False,):
        more, classes_read = answered if taught and answered is not None else (features[:0], labels[:0])
        for kind in _KINDS:
            output = make_output(kind, classes=classes, spec=spec)
            held_out = torch.zeros(len(labels), len(classes))
            for fold in range(int(folds.max()) + 1):
                rest = folds != fold
                if not bool(rest.any()):
                    continue
                fitted = output.refit(torch.cat([features[rest], more]), torch.cat([labels[rest], classes_read]))
                held_out[~rest] = fitted(features[~rest])
            rank = (accuracy(held_out, labels), -float(cross_entropy(held_out, labels)))
            if best is None or rank > best[0]:
                full = output.refit(torch.cat([features, more]), torch.cat([labels, classes_read]))
                best = rank, StudentFit(full, held_out, taught)
    if best is None:
        raise ValueError("there is no kind of head.")
    return best[1]


@dataclass(frozen=True)
class Evidence:
    """Images that neither the student nor what reads the paid model's answers has learned from.

    Attributes:
        student: Logits (N, K) of the student.
        paid: Logits (N, K) of the paid model.
        labels: (N,).
    """

    student: Tensor
    paid: Tensor
    labels: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Evidence]) -> Evidence:
        """Returns all of it as one."""
        return cls(*(torch.cat(column) for column in zip(*map(_columns, parts), strict=True)))


def _columns(evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
    return evidence.student, evidence.paid, evidence.labels


@dataclass(frozen=True)
class StudentReport:
    """What the student is worth, alone and before the paid model.

    Attributes:
        alone: Its accuracy.
        chosen: The cascade "student first" that is worth most on held-out images; its threshold is infinite where the
            paid model should always be asked. None where too few images were held out to tell.
        test: Accuracy of that cascade on test; None where nothing was tested.
        curve: Of each share of SHARES: share, queries per prediction, held-out and test accuracy.
    """

    alone: Score
    chosen: Cascade | None
    test: float | None
    curve: tuple[dict[str, float | None], ...]

    @property
    def threshold(self) -> float | None:
        """Of the cascade; None where the paid model is always asked."""
        return None if self.chosen is None or math.isinf(self.chosen.threshold) else self.chosen.threshold

    def to_json(self) -> dict[str, Any]:
        """Returns what a result says of it."""
        first = None
        if self.chosen is not None:
            first = {
                "threshold": self.threshold,
                "per_prediction": self.chosen.per_prediction,
                "held_out": self.chosen.accuracy,
                "test": self.test,
            }
        return {"accuracy": asdict(self.alone), "first": first, "curve": list(self.curve)}


def judge(
    held_out: Evidence | None,
    val: Evidence | None,
    test: Evidence | None,
    per_prediction: float,
    price: Price,
    kind: str,
) -> StudentReport:
    """Returns what the student is worth; everything is chosen on held-out images, the test images are scored once.

    Args:
        held_out: Training images, cross-fitted, and validation images; None for none.
        val: The validation images among them; None for none.
        test: Test images; None for none.
        per_prediction: Queries of the paid model.
        price: Of learning and use.
        kind: Of the student's head.
    """
    curve: list[Cascade] = []
    if held_out is not None and len(held_out.labels) >= _LEAST:
        curve = cascade_curve(held_out.student, held_out.paid, held_out.labels, (0.0, per_prediction), SHARES)
    chosen = choose_cascade(curve, price) if curve else None
    lines = [
        {"asked": share, "per_prediction": each.per_prediction, "held_out": each.accuracy, "test": tested}
        for share, each, tested in zip(SHARES, curve, _tested(curve, test), strict=False)
    ]
    hits = None if test is None else int((test.student.argmax(1) == test.labels).sum())
    alone = Score(
        val=None if val is None else accuracy(val.student, val.labels),
        test=None if test is None or hits is None else hits / len(test.labels),
        ci95=None if test is None or hits is None else wilson(hits, len(test.labels)),
        output=kind,
    )
    tested = None if chosen is None else next(_tested([chosen], test))
    return StudentReport(alone, chosen, tested, tuple(lines))


def _tested(curve: Sequence[Cascade], test: Evidence | None) -> Iterator[float | None]:
    """Yields the test accuracy at each threshold."""
    for each in curve:
        if test is None:
            yield None
            continue
        in_doubt = (margins(test.student) < each.threshold).unsqueeze(1)
        yield accuracy(torch.where(in_doubt, test.paid, test.student), test.labels)
