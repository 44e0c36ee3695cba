"""The advice: whether to spend queries on a prompt, with reasons and an interval."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from .gain import Evidence, Gain, expected_gain, rule, searched

__all__ = ["WORTH", "Advice", "advise"]

WORTH = 5.0
"""Points below which a prompt is not worth learning."""
_USUAL_SEARCH = 20_000
"""Images of a search where no budget is given."""
_MOST_SEARCH = 1_000_000
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
    white = gain = expected_gain(evidence)
    queries = evidence.run
    if evidence.gradients is False:
        queries = _search_length(white, evidence.budget)
        gain = searched(white, queries)
    elif _too_little(evidence):
        queries, gain = evidence.budget, white._replace(low=min(0.0, white.low))
    rival = 0.0
    if evidence.head is not None and evidence.accuracy is not None:
        rival = max(0.0, 100 * (evidence.head - evidence.accuracy))
    verdict, why = _verdict(gain, rival, queries, evidence)
    reasons = [why, *_reasons(evidence, white, gain, queries)]
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
    needed: float = search["start"] * 10 ** min(6.0, WORTH / reach)
    return max(_USUAL_SEARCH, math.ceil(needed))


def _verdict(gain: Gain, rival: float, queries: int | None, evidence: Evidence) -> tuple[str, str]:
    """Returns the verdict and the sentence that decides it; `rival` is what a head gains, in points.

    A prompt is worth its queries where it is expected to gain more than a head, which costs none, and may gain WORTH
    points. A verdict that rests on an extrapolation is lowered by one step, to "try" or to "unknown".
    """
    verdict, why = _refusal(gain, rival, queries, evidence) or _prospect(gain, rival, evidence)
    if gain.outside and verdict in ("go", "try"):
        return ("try", why) if verdict == "go" else ("unknown", f"{gain.outside} {_to_measure(evidence)}")
    return verdict, why


def _refusal(gain: Gain, rival: float, queries: int | None, evidence: Evidence) -> tuple[str, str] | None:
    """Returns "no-go" with its reason where the queries are too few or cannot pay off; otherwise None."""
    if evidence.accuracy is None and evidence.gradients is None:
        return None  # without a model the rule errs by too much to refuse
    search = evidence.gradients is False
    why = None
    if queries == 0 and not search:
        why = "No queries are left to learn a prompt with. Train the output transform on the answers."
    elif search and (queries or 0) <= rule()["search"]["start"]:
        why = (
            f"{queries} queries are too few to search a prompt: no search is known to find anything within "
            f"{rule()['search']['start']:,}. Spend them on labelled answers and train the output transform."
        )
    elif gain.high < WORTH:
        why = (
            f"Even at the upper end a prompt gains {gain.high:+.1f} points, less than the {WORTH:.0f} that are worth "
            f"it.{f' Train the output transform: a linear head gains {rival:+.1f}.' if rival >= WORTH else ''}"
        )
    elif gain.high < rival + WORTH or gain.value <= 0:
        why = (
            f"Train the output transform, skip the prompt: a linear head on the same answers gains {rival:+.1f} "
            f"points, a prompt is expected to gain {gain.value:+.1f}, at best {gain.high:+.1f}."
        )
    elif search and evidence.budget is None and (queries or 0) > _MOST_SEARCH:
        why = f"A search that has a chance to gain {WORTH:.0f} points takes {queries:,} queries."
    return None if why is None else ("no-go", why)


def _prospect(gain: Gain, rival: float, evidence: Evidence) -> tuple[str, str]:
    """Decides between go, try and unknown, where the upper end of the gain is worth it."""
    if evidence.accuracy is None:
        if evidence.diversity is None or gain.value <= 0:
            return "unknown", f"Nothing was measured that says what a prompt would gain. {_to_measure(evidence)}"
        return "try", (
            f"A gain of {gain.value:+.1f} points is usual for such data, but no model was asked. "
            f"{_to_measure(evidence)}"
        )
    if gain.low >= max(WORTH, rival):
        return "go", f"A gain of {gain.value:+.1f} points is expected, and at least {gain.low:+.1f} is likely."
    if gain.value <= rival:
        return "try", (
            f"Train the output transform first: a linear head on the same answers gains {rival:+.1f} points, for no "
            f"further query. A prompt is expected to gain {gain.value:+.1f}, and at best {gain.high:+.1f}."
        )
    if rival >= WORTH:
        return "try", (
            f"Train the output transform first: a linear head on the same answers gains {rival:+.1f} points. A prompt "
            f"is expected to gain {gain.value:+.1f}, which is more, but not by more than the error of the estimate."
        )
    return "try", f"A gain of {gain.value:+.1f} points is expected, but it may be as little as {gain.low:+.1f}."


def _to_measure(evidence: Evidence) -> str:
    """Says what would settle it."""
    if evidence.accuracy is None:
        return "Measure the model on a few labelled images before more is spent: --model NAME --labelled 10."
    if evidence.head is None:
        return "Measure a linear head on the same labelled answers."
    return "Train a prompt on a few images per class, and score it, before more is spent."


def _reasons(evidence: Evidence, white: Gain, gain: Gain, queries: int | None) -> list[str]:
    return [*_model_reasons(evidence), *_rule_reasons(evidence, white, gain, queries), *_data_reasons(evidence)]


def _model_reasons(evidence: Evidence) -> list[str]:
    found = []
    if evidence.accuracy is not None:
        chance = f"; guessing gives {100 / evidence.classes:.0f}%" if evidence.classes else ""
        found.append(
            f"Without a prompt the model is right on {evidence.accuracy:.1%} of {evidence.scored} labelled "
            f"images{chance}."
        )
    if evidence.head is not None:
        found.append(f"A linear head on the same answers is right on {evidence.head:.1%}, for no further query.")
    if evidence.known_names is not None:
        found.append(f"The model knows {evidence.known_names:.0%} of the class names. No published gain depends on it.")
    return found


def _rule_reasons(evidence: Evidence, white: Gain, gain: Gain, queries: int | None) -> list[str]:
    line, search = rule()["lines"][white.line], rule()["search"]
    found = [
        f"With gradients {white.value:+.1f} points are expected ({white.low:+.1f} to {white.high:+.1f}): the line "
        f"'{white.line}' on {line['cases']} published and own results of {line['data_sets']} data sets, which errs by "
        f"{line['left_out_rmse']:.0f} points (root mean square) on data sets that it has not seen."
    ]
    if evidence.gradients is False:
        share = gain.value / white.value if white.value else 0.0
        found.append(
            f"The model gives no gradients. A search of {queries:,} queries found {share:.0%} of that gain in "
            f"{search['tasks']} known tasks, with a wide scatter; labelled answers for a head bring more per query."
        )
    elif _too_little(evidence):
        found.append(
            f"A run of the default recipe takes {evidence.run:,} queries and {evidence.budget:,} are left: use fewer "
            "shots or epochs, and expect less."
        )
    if gain.outside:
        found.append(gain.outside)
    return found


def _data_reasons(evidence: Evidence) -> list[str]:
    found = []
    if evidence.distance is not None:
        name, value, low, floor = evidence.distance
        # The floor of an unbiased distance is about 0, and half of all sets of the reference's own kind exceed it.
        near = value <= floor or low <= floor
        place = "no farther from the reference than chance explains" if near else "away from the reference"
        found.append(
            f"{name} {value:.4g} (floor {floor:.4g}): the data is {place}. Prompts gain more on far data "
            "(arXiv 2203.17274, figure 5), but no numbers are published, so this moves no number here."
        )
    if evidence.diversity is not None and evidence.accuracy is not None:
        found.append(
            f"Diversity {evidence.diversity:.1f}: published gains are larger on uniform data (SVHN 61.8, EuroSAT 64.6) "
            "than on diverse data (SUN397 76.9), but beside the accuracy it does not predict better."
        )
    if evidence.train is not None and evidence.classes and evidence.train < 16 * evidence.classes:
        found.append(
            f"{evidence.train} images for {evidence.classes} classes are fewer than the 16 per class of the least "
            "published cases: expect less."
        )
    return found


def _missing(evidence: Evidence) -> tuple[str, ...]:
    wanted = {
        "accuracy of a model (--model)": evidence.accuracy,
        "a linear head on the answers (--model)": evidence.head,
        "LPIPS diversity (--lpips)": evidence.diversity,
        "distance to the reference (--inception)": evidence.distance,
        "budget (--budget)": evidence.budget if evidence.gradients is False else 0,
    }
    return tuple(name for name, value in wanted.items() if value is None)
