"""The advice: whether to spend queries on a prompt, with reasons and an interval."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from .gain import Evidence, Gain, expected_gain, rule, search_gain

__all__ = ["MIN_GAIN", "Advice", "advise"]

MIN_GAIN = 5.0
"""Points below which a prompt is not worth learning."""
_USUAL_SEARCH = 20_000
"""Images of a search where no budget is given."""
_MAX_SEARCH = 1_000_000
"""A search that needs more images than this is not proposed."""


@dataclass(frozen=True)
class Advice:
    """The advice of the diagnosis object.

    Attributes:
        verdict: "go", "try" (both with `queries`), "no-go", or "unknown": what was measured does not decide it.
        expected_gain: Points over the model without a prompt.
        interval: Of the gain, at `level`; the expected gain lies inside.
        queries: To spend on it; None for "no-go" and "unknown".
        line: Of the rule that was used.
        reasons: Sentences, the decisive one first.
        missing: What was not measured. Without an accuracy or a head the interval is wider.
    """

    verdict: str
    expected_gain: float
    interval: tuple[float, float]
    level: float
    queries: int | None
    line: str
    reasons: tuple[str, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the `advice` of the diagnosis object."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def advise(evidence: Evidence) -> Advice:
    """Says go, try, no-go or unknown, with reasons.

    Args:
        evidence: What was measured.
    """
    direct = gain = expected_gain(evidence)
    queries = evidence.run
    if evidence.gradients is False:
        queries = _search_length(direct, evidence.budget)
        gain = search_gain(direct, queries)
    elif _too_little(evidence):
        queries, gain = evidence.budget, direct._replace(low=min(0.0, direct.low))
    head = 0.0
    if evidence.head is not None and evidence.accuracy is not None:
        head = max(0.0, 100 * (evidence.head - evidence.accuracy))
    verdict, reason = _verdict(gain, head, queries, evidence)
    reasons = [reason, *_reasons(evidence, direct, gain, queries)]
    return Advice(
        verdict=verdict,
        expected_gain=round(gain.value, 1),
        interval=(round(gain.low, 1), round(gain.high, 1)),
        level=rule()["level"],
        queries=queries if verdict in ("go", "try") else None,
        line=gain.line,
        reasons=tuple(reasons),
        missing=_missing(evidence),
    )


def _too_little(evidence: Evidence) -> bool:
    """Whether the budget does not pay a run of the default recipe."""
    return evidence.budget is not None and evidence.run is not None and evidence.budget < evidence.run


def _search_length(gain: Gain, budget: int | None) -> int:
    """Returns how many images a search should ask about: the budget, or the usual number, more where it takes more."""
    if budget is not None:
        return max(0, budget)
    search = rule()["search"]
    reach = max(gain.high, 1e-9) * (search["slope"] + search["half"])
    needed: float = search["start"] * 10 ** min(6.0, MIN_GAIN / reach)
    return max(_USUAL_SEARCH, math.ceil(needed))


def _verdict(gain: Gain, head: float, queries: int | None, evidence: Evidence) -> tuple[str, str]:
    """Returns the verdict and the sentence that decides it; `head` is what a head gains, in points.

    A prompt is worth its queries where it is expected to gain more than a head, which costs none, and may gain MIN_GAIN
    points. A verdict that rests on an extrapolation is lowered by one step, to "try" or to "unknown".
    """
    verdict, reason = _no_go(gain, head, queries, evidence) or _outlook(gain, head, evidence)
    if gain.extrapolation and verdict in ("go", "try"):
        return (
            ("try", reason) if verdict == "go" else ("unknown", f"{gain.extrapolation} {_next_measurement(evidence)}")
        )
    return verdict, reason


def _no_go(gain: Gain, head: float, queries: int | None, evidence: Evidence) -> tuple[str, str] | None:
    """Returns "no-go" with its reason where the queries are too few or cannot pay off; otherwise None."""
    if evidence.accuracy is None and evidence.gradients is None:
        return None  # without a model the rule errs by too much to refuse
    search = evidence.gradients is False
    reason = None
    if queries == 0 and not search:
        reason = "No queries are left to learn a prompt with. Train the output transform on the answers."
    elif search and (queries or 0) <= rule()["search"]["start"]:
        reason = (
            f"{queries} queries are too few to search a prompt: no search is known to find anything within "
            f"{rule()['search']['start']:,}. Spend them on labelled answers and train the output transform."
        )
    elif gain.high < MIN_GAIN:
        reason = (
            f"Even at the upper end a prompt gains {gain.high:+.1f} points, less than the {MIN_GAIN:.0f} that are "
            f"worth it."
            f"{f' Train the output transform: a linear head gains {head:+.1f}.' if head >= MIN_GAIN else ''}"
        )
    elif gain.high < head + MIN_GAIN or gain.value <= 0:
        reason = (
            f"Train the output transform, skip the prompt: a linear head on the same answers gains {head:+.1f} "
            f"points, a prompt is expected to gain {gain.value:+.1f}, at best {gain.high:+.1f}."
        )
    elif search and evidence.budget is None and (queries or 0) > _MAX_SEARCH:
        reason = f"A search that has a chance to gain {MIN_GAIN:.0f} points takes {queries:,} queries."
    return None if reason is None else ("no-go", reason)


def _outlook(gain: Gain, head: float, evidence: Evidence) -> tuple[str, str]:
    """Decides between go, try and unknown, where the upper end of the gain is worth it."""
    if evidence.accuracy is None:
        if evidence.diversity is None or gain.value <= 0:
            return "unknown", f"Nothing was measured that says what a prompt would gain. {_next_measurement(evidence)}"
        return "try", (
            f"A gain of {gain.value:+.1f} points is usual for such data, but no model was queried. "
            f"{_next_measurement(evidence)}"
        )
    if gain.low >= max(MIN_GAIN, head):
        return "go", f"A gain of {gain.value:+.1f} points is expected, and at least {gain.low:+.1f} is likely."
    if gain.value <= head:
        return "try", (
            f"Train the output transform first: a linear head on the same answers gains {head:+.1f} points, for no "
            f"further query. A prompt is expected to gain {gain.value:+.1f}, and at best {gain.high:+.1f}."
        )
    if head >= MIN_GAIN:
        return "try", (
            f"Train the output transform first: a linear head on the same answers gains {head:+.1f} points. A prompt "
            f"is expected to gain {gain.value:+.1f}, which is more, but not by more than the error of the estimate."
        )
    return "try", f"A gain of {gain.value:+.1f} points is expected, but it may be as little as {gain.low:+.1f}."


def _next_measurement(evidence: Evidence) -> str:
    """Says what would settle it."""
    if evidence.accuracy is None:
        return "Measure the model on a few labelled images before more is spent: --model NAME --labelled 10."
    if evidence.head is None:
        return "Measure a linear head on the same labelled answers."
    return "Train a prompt on a few images per class, and score it, before more is spent."


def _reasons(evidence: Evidence, direct: Gain, gain: Gain, queries: int | None) -> list[str]:
    return [*_model_reasons(evidence), *_rule_reasons(evidence, direct, gain, queries), *_data_reasons(evidence)]


def _model_reasons(evidence: Evidence) -> list[str]:
    reasons = []
    if evidence.accuracy is not None:
        chance = f"; guessing gives {100 / evidence.classes:.0f}%" if evidence.classes else ""
        reasons.append(
            f"Without a prompt the model is right on {evidence.accuracy:.1%} of {evidence.scored} labelled "
            f"images{chance}."
        )
    if evidence.head is not None:
        reasons.append(f"A linear head on the same answers is right on {evidence.head:.1%}, for no further query.")
    if evidence.known_names is not None:
        reasons.append(
            f"The model knows {evidence.known_names:.0%} of the class names. No published gain depends on it."
        )
    return reasons


def _rule_reasons(evidence: Evidence, direct: Gain, gain: Gain, queries: int | None) -> list[str]:
    line, search = rule()["lines"][direct.line], rule()["search"]
    reasons = [
        f"With gradients {direct.value:+.1f} points are expected ({direct.low:+.1f} to {direct.high:+.1f}): the line "
        f"'{direct.line}' on {line['cases']} published and own results of {line['data_sets']} data sets, which errs by "
        f"{line['left_out_rmse']:.0f} points (root mean square) on data sets that it has not seen."
    ]
    if evidence.gradients is False:
        share = gain.value / direct.value if direct.value else 0.0
        reasons.append(
            f"The model gives no gradients. A search of {queries:,} queries found {share:.0%} of that gain in "
            f"{search['tasks']} known tasks, with a wide scatter; labelled answers for a head bring more per query."
        )
    elif _too_little(evidence):
        reasons.append(
            f"A run of the default recipe takes {evidence.run:,} queries and {evidence.budget:,} are left: use fewer "
            "shots or epochs, and expect less."
        )
    if gain.extrapolation:
        reasons.append(gain.extrapolation)
    return reasons


def _data_reasons(evidence: Evidence) -> list[str]:
    reasons = []
    if evidence.distance is not None:
        name, value, low, floor = evidence.distance
        # The floor of an unbiased distance is about 0, and half of all sets of the reference's own kind exceed it.
        near = value <= floor or low <= floor
        place = "no farther from the reference than chance explains" if near else "away from the reference"
        reasons.append(
            f"{name} {value:.4g} (floor {floor:.4g}): the data is {place}. Prompts gain more on far data "
            "(arXiv 2203.17274, figure 5), but no numbers are published, so this moves no number here."
        )
    if evidence.diversity is not None and evidence.accuracy is not None:
        reasons.append(
            f"Diversity {evidence.diversity:.1f}: published gains are larger on uniform data (SVHN 61.8, EuroSAT 64.6) "
            "than on diverse data (SUN397 76.9), but beside the accuracy it does not predict better."
        )
    if evidence.train is not None and evidence.classes and evidence.train < 16 * evidence.classes:
        reasons.append(
            f"{evidence.train} images for {evidence.classes} classes are fewer than the 16 per class of the least "
            "published cases: expect less."
        )
    return reasons


def _missing(evidence: Evidence) -> tuple[str, ...]:
    values = {
        "accuracy of a model (--model)": evidence.accuracy,
        "a linear head on the answers (--model)": evidence.head,
        "LPIPS diversity (--lpips)": evidence.diversity,
        "distance to the reference (--inception)": evidence.distance,
        "budget (--budget)": evidence.budget if evidence.gradients is False else 0,
    }
    return tuple(name for name, value in values.items() if value is None)
