"""The advice: whether to spend queries on a prompt, with reasons and an interval."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from .gain import Evidence, Gain, expected_gain, rule, search_share, views_gain

__all__ = ["MIN_GAIN", "Advice", "advise"]

MIN_GAIN = 5.0
"""Points below which a prompt, or views, are not worth learning."""
_HEAD = "a head on as many queries"


@dataclass(frozen=True)
class Advice:
    """The advice of the diagnosis object.

    Attributes:
        verdict: "go", "try" (both with `queries`), "no-go", or "unknown": what was measured does not decide it.
        expected_gain: Points over `over`.
        interval: Of the gain, at `level`; the expected gain lies inside.
        queries: To spend on it; None for "no-go" and "unknown".
        line: Of the rule that was used.
        reasons: Sentences, the decisive one first.
        missing: What was not measured. Without an accuracy or a head the interval is wider.
        over: What the gain is over: "no prompt"; of a model that only answers, a head alone.
        per_prediction: Queries per prediction, of views.
    """

    verdict: str
    expected_gain: float
    interval: tuple[float, float]
    level: float
    queries: int | None
    line: str
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    over: str = "no prompt"
    per_prediction: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Returns the `advice` of the diagnosis object."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def advise(evidence: Evidence) -> Advice:
    """Says go, try, no-go or unknown, with reasons."""
    if evidence.gradients is False:
        return _advise_views(evidence)
    direct = gain = expected_gain(evidence)
    queries = evidence.run
    if _too_little(evidence):
        queries, gain = evidence.budget, direct._replace(low=min(0.0, direct.low))
    head = 0.0
    if evidence.head is not None and evidence.accuracy is not None:
        head = max(0.0, 100 * (evidence.head - evidence.accuracy))
    verdict, reason = _no_go(gain, head, queries, evidence) or _outlook(gain, head, evidence)
    verdict, reason = _lowered(verdict, reason, gain, _next_measurement(evidence))
    reasons = [reason, *_model_reasons(evidence), *_rule_reasons(evidence, direct, gain), *_data_reasons(evidence)]
    return _advice(verdict, gain, queries, reasons, evidence)


def _advise_views(evidence: Evidence) -> Advice:
    """Weighs views, a committee of which a run looks for where a model only answers, against a head alone."""
    rows = rule()["views"]
    queries = max(row["queries"] for row in rows["all"]) if evidence.budget is None else evidence.budget
    gain, price, cases, data_sets = views_gain(evidence, queries)
    verdict, reason = _verdict_on_views(gain, price, queries)
    verdict, reason = _lowered(verdict, reason, gain, "Train with --dry-run: it says how small a gain a race can find.")
    reasons = [
        reason,
        *_model_reasons(evidence),
        f"Known are {cases} results of {data_sets} data sets with as many queries or the next larger number "
        "(experiments/query-economy); the interval is that of data sets that were left out.",
        f"Pixels are no way here: searches of {queries:,} queries found {search_share(queries):.0%} of the gain with "
        f"gradients in {rule()['search']['tasks']} known tasks.",
        *([gain.extrapolation] if gain.extrapolation else []),
        *_data_reasons(evidence),
    ]
    return replace(_advice(verdict, gain, queries, reasons, evidence), over=_HEAD, per_prediction=round(price, 1))


def _verdict_on_views(gain: Gain, price: float, queries: int) -> tuple[str, str]:
    """Returns the verdict and the sentence that decides it."""
    if queries == 0:
        return "no-go", "No queries are left. Train the output transform on the answers that were paid for."
    if price == 1 and gain.value <= 0:
        return "no-go", (
            f"Train the output transform alone: with {queries:,} queries labelled answers buy more than views "
            "do in all known runs."
        )
    costs = f"at {price:.1f} queries per prediction" if price > 1 else "for one query per prediction"
    if gain.high < MIN_GAIN or gain.value <= 0:
        return "no-go", (
            f"Train the output transform alone, on as many labelled answers as {queries:,} queries pay for: views "
            f"gain {gain.value:+.1f} points over it, {gain.high:+.1f} at the upper end, {costs}."
        )
    if gain.low >= MIN_GAIN:
        return "go", f"Views gain {gain.value:+.1f} points, and at least {gain.low:+.1f} is likely, {costs}."
    return "try", (
        f"Let a run look for views: {gain.value:+.1f} points are expected, {costs}, but it may be as little as "
        f"{gain.low:+.1f}."
    )


def _advice(verdict: str, gain: Gain, queries: int | None, reasons: list[str], evidence: Evidence) -> Advice:
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


def _lowered(verdict: str, reason: str, gain: Gain, remedy: str) -> tuple[str, str]:
    """Lowers a verdict that rests on an extrapolation by one step, to "try" or to "unknown"."""
    if not gain.extrapolation or verdict not in ("go", "try"):
        return verdict, reason
    return ("try", reason) if verdict == "go" else ("unknown", f"{gain.extrapolation} {remedy}")


def _too_little(evidence: Evidence) -> bool:
    """Whether the budget does not pay a run of the default recipe."""
    return evidence.budget is not None and evidence.run is not None and evidence.budget < evidence.run


def _no_go(gain: Gain, head: float, queries: int | None, evidence: Evidence) -> tuple[str, str] | None:
    """Returns "no-go" with its reason where the queries are too few or cannot pay off; otherwise None.

    A prompt is worth its queries where it is expected to gain more than a head, which costs none, and may gain MIN_GAIN
    points. `head` is what a head gains, in points.
    """
    if evidence.accuracy is None and evidence.gradients is None:
        return None  # without a model the rule errs by too much to refuse
    reason = None
    if queries == 0:
        reason = "No queries are left to learn a prompt with. Train the output transform on the answers."
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


def _rule_reasons(evidence: Evidence, direct: Gain, gain: Gain) -> list[str]:
    line = rule()["lines"][direct.line]
    reasons = [
        f"With gradients {direct.value:+.1f} points are expected ({direct.low:+.1f} to {direct.high:+.1f}): the line "
        f"'{direct.line}' on {line['cases']} published and own results of {line['data_sets']} data sets, which errs by "
        f"{line['left_out_rmse']:.0f} points (root mean square) on data sets that it has not seen."
    ]
    if _too_little(evidence):
        reasons.append(
            f"A run of the default recipe takes {evidence.run:,} queries and {evidence.budget:,} are left: use fewer "
            "shots or epochs, and expect less."
        )
    return [*reasons, gain.extrapolation] if gain.extrapolation else reasons


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
