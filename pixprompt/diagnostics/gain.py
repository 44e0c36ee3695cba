"""What a prompt will probably gain: the rule that experiments/advice/fit.py wrote into `rule.json`.

It is four lines in one variable and a search curve, fitted on published gains and on runs of this repository. Of the
lines, the most accurate one that the evidence allows is taken: "head" needs the accuracy of a linear head on the
answers, "accuracy" that of the model without a prompt, "diversity" the LPIPS of random pairs, and "prior" nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from ..core import RangeError

__all__ = ["Evidence", "Gain", "expected_gain", "published_diversity", "rule", "search_gain"]

_Z80 = 1.2815515655446004
_MARGIN = 0.2
"""Points: what an interval reaches beyond its value at the least."""


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
        train: Labelled images to learn from.
        gradients: Whether the model gives gradients; otherwise a prompt must be searched.
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


@cache
def rule() -> dict[str, Any]:
    """Returns the rule: `level` of the intervals, `least` gain, `lines` and `search`."""
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


def search_gain(gain: Gain, images: int) -> Gain:
    """Shrinks the gain of a prompt learned with gradients to what a search by `images` queries is likely to find.

    Args:
        gain: From `expected_gain`.
        images: Images that the search asks about.

    Reference: experiments/advice/blackbox.csv.
    """
    search = rule()["search"]
    decades = math.log10(max(images, search["start"]) / search["start"])
    share, half = search["slope"] * decades, search["half"] * decades
    extrapolation = gain.extrapolation
    if images > search["high"]:
        extrapolation = f"{extrapolation} No search of more than {search['high']:,.0f} images is known.".strip()
    ends = [part * end for part in (max(0.0, share - half), min(1.0, share + half)) for end in (gain.low, gain.high)]
    return _gain(share * gain.value, min(ends), max(ends), gain.line, extrapolation)


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
