"""What a prompt will probably gain: the rule that experiments/advice/fit.py wrote into `rule.json`.

For a model with gradients it is four lines in one variable, fitted on published gains and on runs of this repository.
The most accurate one that the evidence allows is taken: "head" needs the accuracy of a linear head on the answers,
"accuracy" that of the model without a prompt, "diversity" the LPIPS of random pairs, and "prior" nothing. For a model
that only answers it is what views have gained, by kind of answer and budget.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from ..core import AnswerKind, RangeError

__all__ = [
    "Evidence",
    "Gain",
    "ViewsGain",
    "expected_gain",
    "published_diversity",
    "rule",
    "search_share",
    "views_gain",
]

_Z80 = 1.2815515655446004
_MARGIN = 0.2
"""Points: what an interval reaches beyond its value at the least."""
_KINDS_OF_ANSWERS = {
    AnswerKind.LOGITS: "all",
    AnswerKind.PROBABILITIES: "all",
    AnswerKind.EMBEDDINGS: "all",
    AnswerKind.TOP_K: "top-5",
    AnswerKind.LABEL: "label",
}
_LEAST_OUTPUTS, _LEAST_TRAIN, _MOST_TRAIN = 100, 500, 2000
"""The runs with views had models of 1,000 outputs and 1,000 labelled images; this is taken to be about the same."""


@dataclass(frozen=True)
class Evidence:
    """What was measured; None where it was not.

    Attributes:
        accuracy: Of the model without a prompt, with the best output transform that is no head, in [0, 1].
        head: Of a linear head on the same answers, in [0, 1].
        scored: Labelled images that both were measured on, by cross-validation.
        classes: K.
        diversity: Of the images, on the scale of DAM-VP's table; see `published_diversity`.
        distance: (name, value, lower end of its interval, floor) of the distance to the reference set.
        known_names: Share of the class names that the model knows, in [0, 1].
        gradients: Whether the model gives gradients; otherwise views are looked for.
        answer: What the model answers with.
        run: Queries of a run with gradients under the default recipe.
        budget: Queries that may still be spent.
    """

    accuracy: float | None = None
    head: float | None = None
    scored: int = 0
    classes: int | None = None
    diversity: float | None = None
    distance: tuple[str, float, float, float] | None = None
    known_names: float | None = None
    train: int | None = None
    gradients: bool | None = None
    answer: AnswerKind = AnswerKind.PROBABILITIES
    num_outputs: int = 1000
    run: int | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        for name in ("accuracy", "head", "known_names"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise RangeError(f"{name} is a share in [0, 1], got {value}.")


class Gain(NamedTuple):
    """Points of test accuracy that a prompt gains, with the interval of the rule's level.

    Attributes:
        line: Of the rule, by name.
        extrapolation: Why this is an extrapolation, or "".
    """

    value: float
    low: float
    high: float
    line: str
    extrapolation: str


class ViewsGain(NamedTuple):
    """What views gain over a head.

    Attributes:
        gain: Points over a head on as many queries.
        price: Queries per prediction.
        cases: Known results with the next larger budget.
        data_sets: Of these.
    """

    gain: Gain
    price: float
    cases: int
    data_sets: int


@cache
def rule() -> dict[str, Any]:
    """Returns the rule: `level` of the intervals, `least` gain, `lines`, `search` and `views`."""
    rule_values: dict[str, Any] = json.loads(resources.files(__package__).joinpath("rule.json").read_text("utf-8"))
    return rule_values


def published_diversity(lpips: float) -> float:
    """Brings a mean LPIPS to the scale of the published diversities, which the line "diversity" is fitted on.

    Args:
        lpips: Of random pairs on canvases of 64x64, images in [-1, 1] as LPIPS asks for.

    Returns:
        100 x LPIPS of ImageNet-normalised images of 224x224, as DAM-VP's `diversities.py` has it (arXiv:2303.08138).
    """
    scale = rule()["scale"]
    return float(scale["intercept"] + scale["slope"] * 100 * lpips)


def expected_gain(evidence: Evidence) -> Gain:
    """Predicts the gain of a prompt that is learned with gradients.

    Args:
        evidence: Accuracy and head, accuracy, diversity, or nothing.

    Reference: experiments/advice (cases, sources, errors on left-out data sets).
    """
    name, x = _line_of(evidence)
    line = rule()["lines"][name]
    value, half = _on_line(evidence, name)
    error = _sampling_error(evidence, name)
    most = 100.0 if evidence.accuracy is None else 100 * (1 - evidence.accuracy)
    spread = math.hypot(half, error)
    least = -100.0 if evidence.accuracy is None else -100 * evidence.accuracy
    low, high = (min(most, max(least, value + sign * spread)) for sign in (-1, 1))
    extrapolation = ""
    if not line["low"] - 0.05 <= x <= line["high"] + 0.05:
        meaning = {"head": "the gain of the head", "accuracy": "the room left", "diversity": "the diversity"}[name]
        extrapolation = (
            f"{meaning[0].upper()}{meaning[1:]} is {x:.1f}, outside the {line['low']:.1f} to {line['high']:.1f} that "
            "the rule was fitted on: this is an extrapolation."
        )
    return _gain(value, low, high, name, extrapolation)


def views_gain(evidence: Evidence, queries: int) -> ViewsGain:
    """Predicts what views gain over a linear head on as many queries, for a model that only answers.

    Between the budgets that were tried it goes straight in the logarithm of the queries.

    Args:
        evidence: Kind and length of the answers; head, training images and classes say whether this is extrapolation.
        queries: To learn with.

    Reference: experiments/query-economy.
    """
    rows = rule()["views"][_KINDS_OF_ANSWERS[evidence.answer]]
    places = [math.log(row["queries"]) for row in rows]
    value, half, price = (
        float(np.interp(math.log(max(1, queries)), places, [row[name] for row in rows]))
        for name in ("gain", "half", "price")
    )
    most = 100.0 if evidence.head is None else 100 * (1 - evidence.head)
    value = min(value, most)
    outside = [
        words
        for is_outside, words in (
            (queries > rows[-1]["queries"], f"{queries:,} queries are more than the {rows[-1]['queries']:,} tried"),
            (evidence.num_outputs < _LEAST_OUTPUTS, f"the model answers with {evidence.num_outputs:,} numbers, those "
             "tried with 1,000"),
            (evidence.answer == AnswerKind.EMBEDDINGS, "the model answers with embeddings, those tried with classes"),
            (evidence.train is not None and not _LEAST_TRAIN <= evidence.train <= _MOST_TRAIN,
             f"there are {evidence.train:,} labelled images, those runs had 1,000" if evidence.train else ""),
        )
        if is_outside
    ]  # fmt: skip
    extrapolation = f"This is an extrapolation: {'; '.join(outside)}." if outside else ""
    gain = _gain(value, max(rule()["least"], value - half), min(most, value + half), "views", extrapolation)
    last = next((row for row in rows if row["queries"] >= queries), rows[-1])
    return ViewsGain(gain, price, last["cases"], last["data_sets"])


def search_share(images: int) -> float:
    """Returns the share of the gain with gradients that a search for pixels by `images` queries has found elsewhere.

    Reference: experiments/advice/blackbox.csv.
    """
    search = rule()["search"]
    return float(search["slope"] * math.log10(max(images, search["start"]) / search["start"]))


def _gain(value: float, low: float, high: float, line: str, extrapolation: str) -> Gain:
    """Returns a gain whose interval holds the value inside, and not at an end that a limit has cut off."""
    return Gain(value, min(low, value - _MARGIN), max(high, value + _MARGIN), line, extrapolation)


def _line_of(evidence: Evidence) -> tuple[str, float]:
    """Returns the line to use and its variable."""
    if evidence.accuracy is not None and evidence.head is not None:
        return "head", max(0.0, 100 * (evidence.head - evidence.accuracy))
    if evidence.accuracy is not None:
        return "accuracy", 100 * (1 - evidence.accuracy)
    return ("prior", 0.0) if evidence.diversity is None else ("diversity", evidence.diversity)


def _on_line(evidence: Evidence, name: str) -> tuple[float, float]:
    """Returns the gain that a line gives, and the half width of its interval, in points."""
    line, x = rule()["lines"][name], _line_of(evidence)[1]
    most = 100.0 if evidence.accuracy is None else 100 * (1 - evidence.accuracy)
    room = 1.0 if evidence.accuracy is None else most
    value = room * min(line["top"], line["intercept"] + line["slope"] * x)
    half = room * line["half"]
    if name == "diversity":
        half = math.hypot(half, line["slope"] * rule()["scale"]["error"])
    return min(most, max(rule()["least"], value)), half


def _sampling_error(evidence: Evidence, name: str) -> float:
    """Returns how far the prediction moves with the sampling error of an accuracy on few images, in points."""
    if evidence.accuracy is None or evidence.scored == 0:
        return 0.0
    n = evidence.scored + 4  # Agresti and Coull: a share of 0 or 1 has an error, too
    share = (evidence.accuracy * evidence.scored + 2) / n
    error = _Z80 * math.sqrt(share * (1 - share) / n)
    ends = [
        _on_line(Evidence(accuracy=min(1.0, max(0.0, evidence.accuracy + move)), head=evidence.head), name)[0]
        for move in (-error, error)
    ]
    return abs(ends[1] - ends[0]) / 2
