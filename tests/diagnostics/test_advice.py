"""The rule of the advice is what its script fits, holds on data it did not see, and the verdicts follow from it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pixprompt.core import AnswerKind, RangeError
from pixprompt.diagnostics.advice import MIN_GAIN, advise
from pixprompt.diagnostics.gain import Evidence, expected_gain, published_diversity, rule, search_share, views_gain

FOLDER = Path(__file__).parents[2] / "experiments" / "advice"
FIT_PATH = FOLDER / "fit.py"
spec = importlib.util.spec_from_file_location("advice_fit", FIT_PATH)
fit: ModuleType = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fit)
CASES = fit.read("cases.csv")
LINES = ("head", "accuracy", "diversity", "prior")


def evidence_of(case: dict[str, Any], line: str = "head") -> Evidence:
    """What a case lets one know, down to what a line needs."""
    share = {name: None if case[name] is None else case[name] / 100 for name in ("before", "head")}
    return Evidence(
        accuracy=share["before"] if line in ("head", "accuracy") else None,
        head=share["head"] if line == "head" else None,
        diversity=case["diversity"] if line == "diversity" else None,
        gradients=True,
        run=5000,
    )


# The rule ------------------------------------------------------------------------------------------------------------


def test_the_committed_rule_is_what_the_script_gives() -> None:
    assert rule() == fit.rule()
    changed = [{**case, "gain": case["gain"] + 1} for case in CASES]
    assert fit.fitted(changed, "head") != rule()["lines"]["head"]  # negative control


def test_the_committed_table_is_what_the_script_gives() -> None:
    text = (FOLDER / "table.md").read_text()
    for part in (fit.summary(fit.rule()), fit.sensitivity(CASES), fit.table(CASES)):
        assert part in text


@pytest.mark.parametrize("line", LINES)
def test_the_package_predicts_what_the_script_fitted(line: str) -> None:
    for case in fit.usable(CASES, line):
        values = rule()["lines"][line]
        share = min(values["top"], values["intercept"] + values["slope"] * fit.INPUTS[line](case))
        gain = expected_gain(evidence_of(case, line))
        assert gain.line == line
        assert gain.value == pytest.approx(max(rule()["least"], fit.room(case, line) * share), abs=1e-6)
        assert gain.extrapolation == ""
        assert gain.low <= gain.value <= gain.high <= 100 - (case["before"] or 0) * (line in ("head", "accuracy"))


def test_least_squares_against_numpy() -> None:
    cases = [{**case, "data": str(number)} for number, case in enumerate(fit.usable(CASES, "accuracy"))]
    x = [100 - case["before"] for case in cases]
    slope, intercept = np.polyfit(x, [case["gain"] / room for case, room in zip(cases, x, strict=True)], 1)
    assert fit.line(cases, "accuracy") == pytest.approx((intercept, slope))


def test_a_data_set_weighs_the_same_however_often_it_was_run() -> None:
    cases = fit.usable(CASES, "head")
    doubled = [*cases, *[case for case in cases if case["data"] == "digits"]]
    assert fit.line(doubled, "head") == pytest.approx(fit.line(cases, "head"))


def test_own_cases_are_the_runs_of_this_repository() -> None:
    own = [case for case in CASES if case["certainty"] == "own run"]
    assert len(own) >= 10
    for case in own:
        folder, name = case["source"].split(": ", 1)
        lines = [json.loads(line) for line in (FOLDER.parents[1] / folder / "results.jsonl").read_text().splitlines()]
        rungs = next(line for line in lines if line["name"] == name)["result"]["accuracy"]
        results = [100 * rungs[rung]["test"] for rung in ("no_prompt", "output_only", "prompt_png")]
        assert (case["before"], case["head"]) == pytest.approx(results[:2], abs=0.006)
        assert case["gain"] == pytest.approx(results[2] - results[0], abs=0.011)


# On data that it did not see -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "most"), [("head", 13), ("accuracy", 17.5), ("diversity", 21)])
def test_left_out_data_sets_are_predicted_better_than_by_the_mean(line: str, most: float) -> None:
    cases = fit.usable(CASES, line)
    gains = np.array([case["gain"] for case in cases])
    errors = gains - fit.left_out(cases, line)
    blind = gains - fit.left_out(cases, "prior")
    assert np.sqrt(np.mean(errors**2)) < min(most, 0.9 * np.sqrt(np.mean(blind**2)))


def test_gains_of_the_wrong_data_sets_are_not_predicted() -> None:
    """Negative control: the same gains dealt out to other cases."""
    cases = fit.usable(CASES, "head")
    right = np.sqrt(np.mean((np.array([case["gain"] for case in cases]) - fit.left_out(cases, "head")) ** 2))
    for seed in range(5):
        dealt = np.random.default_rng(seed).permutation([case["gain"] for case in cases])
        wrong = [{**case, "gain": float(gain)} for case, gain in zip(cases, dealt, strict=True)]
        assert np.sqrt(np.mean((dealt - fit.left_out(wrong, "head")) ** 2)) > 1.5 * right


@pytest.mark.parametrize("line", LINES)
def test_the_interval_holds_about_as_often_as_it_says(line: str) -> None:
    """Line and width are both made without the data set; 17 to 37 cases leave room for chance."""
    assert 0.7 <= fit.coverage(fit.usable(CASES, line), line) <= 0.95


def test_published_cases_alone_predict_the_runs_of_this_repository() -> None:
    """Other models, other recipe, other data: the test that is farthest from the fit."""
    own = [case for case in CASES if case["certainty"] == "own run"]
    published = fit.usable([case for case in CASES if case["certainty"] != "own run"], "head")
    intercept, slope = fit.line(published, "head")
    predicted = [fit.room(case, "head") * (intercept + slope * fit.INPUTS["head"](case)) for case in own]
    gains = [case["gain"] for case in own]
    assert np.corrcoef(predicted, gains)[0, 1] > 0.9


def test_no_verdict_on_a_left_out_data_set_is_badly_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """No "go" where a prompt gained nothing, no "no-go" where it gained much and a head did not."""
    verdicts = []
    for case in fit.usable(CASES, "head"):
        rest = [other for other in CASES if other["data"] != case["data"]]
        values = {**rule(), "lines": {name: fit.fitted(rest, name) for name in LINES}}
        monkeypatch.setattr("pixprompt.diagnostics.gain.rule", lambda values=values: values)
        monkeypatch.setattr("pixprompt.diagnostics.advice.rule", lambda values=values: values)
        verdict = advise(evidence_of(case)).verdict
        ahead = case["gain"] - max(0.0, case["head"] - case["before"])
        verdicts.append(verdict)
        assert not (verdict == "go" and case["gain"] < MIN_GAIN), case
        assert not (verdict == "no-go" and ahead > MIN_GAIN), case
    assert {"try", "no-go"} <= set(verdicts)


# Verdicts ------------------------------------------------------------------------------------------------------------


def views(answer: str, budget: int, **more: Any) -> Evidence:
    """Evidence of a model that only answers."""
    values = {"accuracy": 0.1, "head": 0.3, "scored": 200, "classes": 10, "train": 1000, **more}
    return Evidence(gradients=False, answer=AnswerKind(answer), budget=budget, **values)


UNKNOWN = Evidence(accuracy=0.1, head=0.12, scored=200, classes=10, gradients=True, run=6000)


@pytest.mark.parametrize(
    ("evidence", "verdict", "words"),
    [
        (Evidence(accuracy=0.1, scored=200, classes=10, gradients=True, run=6000), "go", "at least"),
        (Evidence(accuracy=0.1, head=0.88, scored=200, gradients=True, run=6000), "try", "Train the output transform"),
        (
            Evidence(accuracy=0.33, head=0.74, scored=200, gradients=True, run=6000),
            "try",
            "Train the output transform first",
        ),
        (Evidence(accuracy=0.75, head=0.9, scored=200, gradients=True, run=6000), "no-go", "skip the prompt"),
        (Evidence(accuracy=0.8, head=0.85, scored=100, gradients=True, run=6000), "no-go", "skip the prompt"),
        (Evidence(accuracy=0.9, head=0.8, scored=100, gradients=True, run=6000), "no-go", "upper end"),
        (Evidence(accuracy=0.97, head=0.97, scored=200, gradients=True, run=6000), "no-go", "upper end"),
        (views("label", 5000), "try", "Let a run look for views"),
        (views("top-k", 5000), "try", "queries per prediction"),
        (views("top-k", 1000), "try", "as little as"),
        (views("logits", 5000), "try", "queries per prediction"),
        (views("logits", 1000), "no-go", "Train the output transform alone"),
        (views("logits", 1000), "no-go", "labelled answers buy more"),
        (views("label", 200), "no-go", "labelled answers buy more"),
        (views("label", 0), "no-go", "No queries are left"),
        (views("label", 100_000), "unknown", "more than the 20,000 tried"),
        (views("label", 5000, train=50), "unknown", "50 labelled images"),
        (views("label", 5000, num_outputs=2), "unknown", "2 numbers"),
        (views("label", 5000, head=0.98), "no-go", "upper end"),
        (Evidence(diversity=62.0), "try", "no model was queried"),
        (Evidence(diversity=78.0), "unknown", "--model"),
        (Evidence(diversity=36.0), "unknown", "extrapolation"),
        (Evidence(), "unknown", "--model"),
        (Evidence(accuracy=0.94, head=0.5, scored=20, gradients=True, run=6000), "no-go", ""),
        (Evidence(accuracy=0.005, scored=2000, gradients=True, run=6000), "try", "at least"),
    ],
)
def test_verdicts(evidence: Evidence, verdict: str, words: str) -> None:
    advice = advise(evidence)
    assert advice.verdict == verdict
    assert words in advice.reasons[0]
    assert advice.interval[0] < advice.expected_gain < advice.interval[1]
    assert (advice.queries is None) == (verdict in ("no-go", "unknown") or evidence.run is evidence.gradients is None)
    assert all(reason.endswith(".") for reason in advice.reasons)
    assert not re.search(r"\bNone\b|nan|inf\b", " ".join(advice.reasons))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("budget", [None, 0, 900, 50_000, 10**8])
def test_no_verdict_contradicts_its_expectation(gradients: bool, budget: int | None) -> None:
    verdicts = set()
    for accuracy in (None, 0.0, 0.02, 0.3, 0.6, 0.9, 1.0):
        for head in (None, 0.0, 0.02, 0.35, 0.7, 1.0):
            known = gradients if accuracy is not None else None
            advice = advise(Evidence(accuracy, head, 50, 10, gradients=known, run=6000, budget=budget))
            verdicts.add(advice.verdict)
            assert advice.interval[0] < advice.expected_gain < advice.interval[1]
            if advice.verdict in ("go", "try"):
                assert advice.expected_gain > 0
                assert advice.interval[1] >= MIN_GAIN
                assert "skip the prompt" not in " ".join(advice.reasons)
            if advice.verdict == "go":
                assert not any("extrapolation" in reason for reason in advice.reasons)
            if accuracy is None:
                assert advice.verdict == "unknown"
    assert "no-go" in verdicts
    for answer, head in itertools.product(("logits", "top-k", "label"), (0.0, 0.3, 0.8, 1.0)):
        advice = advise(views(answer, 5000 if budget is None else budget, head=head))
        assert advice.interval[0] < advice.expected_gain < advice.interval[1]
        assert (advice.verdict in ("go", "try")) <= (advice.expected_gain > 0 and advice.interval[1] >= MIN_GAIN)
        assert (advice.verdict == "go") <= (advice.interval[0] >= MIN_GAIN)


def test_the_advice_is_json_of_the_interface() -> None:
    payload = json.loads(json.dumps(advise(UNKNOWN).to_json()))
    assert payload.keys() >= {"verdict", "expected_gain", "interval", "reasons"}
    assert payload["verdict"] in ("go", "try", "no-go")
    assert len(payload["interval"]) == 2
    assert payload["level"] == 0.8


def test_what_is_missing_widens_the_interval_and_is_named() -> None:
    full = Evidence(
        accuracy=0.5, head=0.6, scored=1000, diversity=70.0, distance=("KID", 0.1, 0.05, 0.01), gradients=True
    )
    assert advise(full).missing == ()
    widths = []
    for missing, what in ((set(), ""), ({"head"}, "linear head"), ({"head", "accuracy"}, "accuracy of a model")):
        advice = advise(replace(full, **dict.fromkeys(missing)))
        assert what in " ".join(advice.missing)
        widths.append(advice.interval[1] - advice.interval[0])
    assert widths[0] < widths[1] < widths[2]
    assert "--lpips" in " ".join(advise(replace(full, diversity=None)).missing)
    assert "--inception" in " ".join(advise(replace(full, distance=None)).missing)
    assert "--budget" in " ".join(advise(replace(full, gradients=False)).missing)


def test_few_labelled_images_widen_the_interval() -> None:
    few, many = (expected_gain(Evidence(accuracy=0.5, head=0.75, scored=scored)) for scored in (20, 2000))
    assert few.value == many.value
    assert few.high - few.low > 1.1 * (many.high - many.low)


def test_extrapolation_is_said() -> None:
    assert "extrapolation" in " ".join(advise(Evidence(accuracy=0.005, scored=100, gradients=True)).reasons)
    assert "extrapolation" in " ".join(advise(Evidence(diversity=36.0)).reasons)
    assert "extrapolation" not in " ".join(advise(Evidence(accuracy=0.5, scored=100, gradients=True)).reasons)


def test_views_gain_what_they_gained_in_the_recorded_runs() -> None:
    for answer, kind in (("all", "logits"), ("top-5", "top-k"), ("label", "label")):
        for row in rule()["views"][answer]:
            result = views_gain(views(kind, 0), row["queries"])
            assert (result.gain.value, result.price) == pytest.approx((row["gain"], row["price"]))
            assert result.gain.low < result.gain.value < result.gain.high
            assert result.gain.extrapolation == ""
        few, between, many = (views_gain(views(kind, 0), queries).gain.value for queries in (1000, 2236, 5000))
        assert between == pytest.approx((few + many) / 2, abs=0.01)  # straight in the logarithm
    runs = [json.loads(text) for text in fit.ECONOMY.read_text().splitlines()]
    swapped = [{**run, "method": {"default": "head alone", "head alone": "default"}.get(run["method"])} for run in runs]
    gains = {answer: rows[-1]["gain"] for answer, rows in rule()["views"].items()}
    assert fit.views(swapped)["label"][-1]["gain"] == pytest.approx(-gains["label"])  # negative control
    assert gains["all"] < gains["top-5"] < gains["label"]  # the less an answer says


def test_the_interval_of_views_holds_on_most_data_sets_that_were_left_out() -> None:
    runs = [json.loads(text) for text in fit.ECONOMY.read_text().splitlines()]
    inside = []
    for data in {run["data"] for run in runs if run["model"] != "mini-clip"}:
        rows = fit.views([run for run in runs if run["data"] != data])
        for (answer, queries, _, name), cell in fit.by_cell(runs).items():
            row = next((row for row in rows.get(answer, ()) if row["queries"] == queries), None)
            if name == data and row is not None and queries >= 1000:
                inside.append(abs(cell["gain"] - row["gain"]) <= row["half"] + 1e-9)
    assert len(inside) > 50
    assert 0.6 <= np.mean(inside) <= 0.95


def test_a_search_for_pixels_finds_a_part_that_grows_with_its_budget() -> None:
    shares = [search_share(images) for images in (0, 1000, 10_000, 100_000, 10**7)]
    assert shares[:2] == [0.0, 0.0]
    assert shares == sorted(shares)
    assert shares[-1] < 0.5  # no published search came near the gain with gradients


def test_a_budget_below_a_run_is_no_go_ahead() -> None:
    enough = Evidence(accuracy=0.1, scored=200, gradients=True, run=6000, budget=6000)
    assert advise(enough).verdict == "go"
    short = advise(replace(enough, budget=600))
    assert (short.verdict, short.queries) == ("try", 600)
    assert "6,000 queries and 600 are left" in " ".join(short.reasons)
    nothing = advise(replace(enough, budget=0))
    assert (nothing.verdict, nothing.queries) == ("no-go", None)
    assert "No queries are left" in nothing.reasons[0]


def test_measured_things_that_move_no_number_are_told() -> None:
    plain = Evidence(accuracy=0.5, head=0.6, scored=100, classes=10, gradients=True, run=100)
    informed = replace(plain, known_names=0.3, distance=("KID", 0.2, 0.1, 0.01), diversity=70.0, train=50)
    first, second = advise(plain), advise(informed)
    assert (first.expected_gain, first.interval) == (second.expected_gain, second.interval)
    text = " ".join(second.reasons)
    for words in ("30% of the class names", "KID 0.2", "away from", "Diversity 70.0", "50 images for 10 classes"):
        assert words in text
        assert words not in " ".join(first.reasons)
    # The second one lies above its floor, which is 0 on average, but not surely so.
    for distance in (("KID", 0.01, 0.005, 0.02), ("KID", 0.01, -0.02, 0.0)):
        near = advise(replace(plain, distance=distance))
        assert "no farther from the reference than chance" in " ".join(near.reasons)


def test_diversity_scale_keeps_the_measured_sets() -> None:
    for case in fit.read("diversity.csv"):
        expected = case["normalised"] * 70.2 / 72.9
        assert published_diversity(case["lpips"] / 100) == pytest.approx(expected, abs=rule()["scale"]["error"] + 0.01)
    assert published_diversity(0.6) > published_diversity(0.5)


def test_shares_are_checked() -> None:
    with pytest.raises(RangeError, match=r"accuracy is a share in \[0, 1\], got 60"):
        Evidence(accuracy=60)
