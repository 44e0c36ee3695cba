"""Fits the rule of `pixprompt diagnose` on published gains and on the runs of this repository, and tests it.

Every line is y = intercept + slope * x, by least squares in which every data set weighs the same. Its test leaves out
one data set at a time, with all its models. Writes the rule into the package, and table.md here.

python experiments/advice/fit.py
"""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
RULE = FOLDER.parents[1] / "pixprompt" / "diagnostics" / "rule.json"
LEVEL = 0.8
LEAST = -5.0
"""Points that a kept prompt costs at worst; the largest loss of the table is 3.8, because "none" competes."""
SEARCH_START = 1000
"""Images asked before which no zeroth-order search has found anything (blackbox.csv: the first 1,000 bring -8%)."""

ECONOMY = FOLDER.parent / "query-economy" / "results.jsonl"

Case = dict[str, Any]
NUMBERS = ("before", "head", "gain", "diversity", "white_box_gain", "black_box_gain", "images")
NUMBERS += ("lpips", "normalised", "published")
INPUTS: dict[str, Callable[[Case], float | None]] = {
    "head": lambda case: None if case["head"] is None else max(0.0, case["head"] - case["before"]),
    "accuracy": lambda case: None if case["before"] is None else 100 - case["before"],
    "diversity": lambda case: case["diversity"],
    "prior": lambda case: 0.0,
}
"""Name of a line -> its x. "head" and "accuracy" predict the share of the room 100 - before, the others points."""


def read(name: str) -> list[Case]:
    """Reads a table; an empty number is None, and those of own runs are read from their results."""
    with (FOLDER / name).open(newline="") as file:
        return [
            _filled({key: (float(value) if value else None) if key in NUMBERS else value for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def _filled(case: Case) -> Case:
    if case.get("certainty") != "own run" or "head" not in case:
        return case
    folder, name = case["source"].split(": ", 1)
    lines = (FOLDER.parents[1] / folder / "results.jsonl").read_text().splitlines()
    rungs = next(run for run in map(json.loads, lines) if run["name"] == name)["result"]["accuracy"]
    before, head, png = (100 * rungs[rung]["test"] for rung in ("no_prompt", "output_only", "prompt_png"))
    return {**case, "before": round(before, 2), "head": round(head, 2), "gain": round(png - before, 2)}


def room(case: Case, name: str) -> float:
    """Returns what a predicted value is multiplied with to give points."""
    return 100 - case["before"] if name in ("head", "accuracy") else 1.0


def line(cases: Sequence[Case], name: str) -> tuple[float, float]:
    """Returns intercept and slope."""
    x = np.array([INPUTS[name](case) for case in cases], float)
    y = np.array([case["gain"] / room(case, name) for case in cases])
    weight = _equal([case["data"] for case in cases])
    middle, height = weight @ x, weight @ y
    spread = weight @ (x - middle) ** 2
    slope = float(weight @ ((x - middle) * (y - height)) / spread) if spread > 0 else 0.0
    return float(height - slope * middle), slope


def top(cases: Sequence[Case], name: str) -> float:
    """Returns the largest y that was seen; a line does not go above it."""
    return max(case["gain"] / room(case, name) for case in cases)


def left_out(cases: Sequence[Case], name: str) -> np.ndarray:
    """Returns what each case's gain is predicted to be, in points, by a line that saw no case of its data set."""
    outcome = np.zeros(len(cases))
    for data in {case["data"] for case in cases}:
        train = [case for case in cases if case["data"] != data]
        intercept, slope = line(train, name)
        for index, case in enumerate(cases):
            if case["data"] == data:
                share = intercept + slope * (INPUTS[name](case) or 0.0)
                outcome[index] = max(LEAST, room(case, name) * min(share, top(train, name)))
    return outcome


def quantile(cases: Sequence[Case], name: str) -> float:
    """Returns the half width of the interval: the conformal quantile of the errors on left-out data sets."""
    gains = np.array([case["gain"] for case in cases])
    rooms = np.array([room(case, name) for case in cases])
    return conformal(np.abs(gains - left_out(cases, name)) / rooms)


def conformal(errors: np.ndarray) -> float:
    """Returns the ceil(LEVEL (n + 1))-th smallest error (split conformal prediction)."""
    rank = min(len(errors), math.ceil(LEVEL * (len(errors) + 1)))
    return float(np.sort(errors)[rank - 1])


def coverage(cases: Sequence[Case], name: str) -> float:
    """Returns how often the interval holds the gain, line and width both made without the case's data set."""
    inside = []
    predicted = left_out(cases, name)
    for data in {case["data"] for case in cases}:
        half = quantile([case for case in cases if case["data"] != data], name)
        inside += [
            abs(case["gain"] - guess) <= half * room(case, name)
            for case, guess in zip(cases, predicted, strict=True)
            if case["data"] == data
        ]
    return float(np.mean(inside))


def usable(cases: Sequence[Case], name: str) -> list[Case]:
    """Returns the cases that have what a line needs."""
    return [case for case in cases if INPUTS[name](case) is not None]


def fitted(cases: Sequence[Case], name: str) -> dict[str, Any]:
    """Fits and tests one line."""
    cases = usable(cases, name)
    intercept, slope = line(cases, name)
    x = [INPUTS[name](case) for case in cases]
    errors = np.array([case["gain"] for case in cases]) - left_out(cases, name)
    return {
        "intercept": round(intercept, 5),
        "slope": round(slope, 6),
        "half": round(quantile(cases, name), 5),
        "top": round(top(cases, name), 5),
        "low": round(min(x), 2),
        "high": round(max(x), 2),
        "cases": len(cases),
        "data_sets": len({case["data"] for case in cases}),
        "left_out_rmse": round(float(np.sqrt(np.mean(errors**2))), 1),
        "left_out_mae": round(float(np.mean(np.abs(errors))), 1),
        "left_out_coverage": round(coverage(cases, name), 2),
    }


def search(cases: Sequence[Case]) -> dict[str, Any]:
    """Fits the share of the white-box gain that a search finds: slope * log10(images / SEARCH_START), one number."""
    cases = [case for case in cases if case["images"] > SEARCH_START]
    x = np.array([math.log10(case["images"] / SEARCH_START) for case in cases])
    y = np.array([case["black_box_gain"] / case["white_box_gain"] for case in cases])
    names = [case["case"] for case in cases]
    errors = np.zeros(len(cases))
    for name in set(names):
        remaining = np.array([other != name for other in names])
        errors[~remaining] = (
            y[~remaining]
            - _slope(x[remaining], y[remaining], [other for other in names if other != name]) * x[~remaining]
        )
    return {
        "start": SEARCH_START,
        "slope": round(_slope(x, y, names), 5),
        "cases": len(cases),
        "tasks": len(set(names)),
        "left_out_rmse": round(float(np.sqrt(np.mean(errors**2))), 2),
    }


def views(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Averages what views gain over a head on as many queries, by kind of answer and budget.

    Each data set weighs the same, and the interval is that of data sets that were left out. Returns kind of answer ->
    rows of {queries, gain in points, half, price in queries per prediction, cases, data_sets}, by queries; budgets
    that were played on fewer than three data sets are left out.
    """
    outcome: dict[tuple[str, int], list[Case]] = {}
    for (answer, queries, *_), cell in sorted(by_cell(runs).items(), key=lambda item: item[0]):
        outcome.setdefault((answer, queries), []).append(cell)
    rows: dict[str, Any] = {}
    for (answer, queries), cases in outcome.items():
        names = [case["data"] for case in cases]
        if len(set(names)) < 3:
            continue
        errors = []
        for case in cases:
            rest = [other for other in cases if other["data"] != case["data"]]
            errors.append(abs(case["gain"] - _mean(rest, "gain")))
        values = {"gain": _mean(cases, "gain"), "half": conformal(np.array(errors)), "price": _mean(cases, "price")}
        row = {"queries": queries, "cases": len(cases), "data_sets": len(set(names))}
        rows.setdefault(answer, []).append(row | {name: round(value, 2) for name, value in values.items()})
    return rows


def by_cell(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, int, str, str], Case]:
    """Returns (answer, queries, model, data) -> the mean gain and price over the seeds that played both ways."""
    played = {(*(run[key] for key in ("answer", "budget", "model", "data", "method", "seed")),): run for run in runs}
    gains: dict[tuple[str, int, str, str], list[tuple[float, float]]] = {}
    for (*cell, method, seed), run in played.items():
        head = played.get((*cell, "head alone", seed))
        if method == "default" and head is not None and run["model"] != "mini-clip":  # which has words and no views
            pair = (100 * (run["accuracy"] - head["accuracy"]), run["queries_per_prediction"])
            gains.setdefault((*cell,), []).append(pair)
    return {
        cell: dict(zip(("gain", "price"), np.mean(pairs, axis=0).tolist(), strict=True)) | {"data": cell[3]}
        for cell, pairs in gains.items()
    }


def _mean(cases: Sequence[Case], name: str) -> float:
    return float(_equal([case["data"] for case in cases]) @ np.array([case[name] for case in cases]))


def scale(cases: Sequence[Case]) -> dict[str, Any]:
    """Fits 100 x LPIPS as pixprompt measures it (64x64, images in [-1, 1]) to the scale of DAM-VP's table.

    That table is of ImageNet-normalised images of 224x224. The four sets here were measured both ways, and one of
    them is in the table, a little lower; all are lowered by the same factor.
    """
    factor = next(case["published"] / case["normalised"] for case in cases if case["published"])
    x = np.array([case["lpips"] for case in cases])
    y = factor * np.array([case["normalised"] for case in cases])
    slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
    intercept = float(y.mean() - slope * x.mean())
    error = float(np.abs(y - intercept - slope * x).max())
    return {"intercept": round(intercept, 3), "slope": round(slope, 4), "error": round(error, 2), "cases": len(cases)}


def _slope(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> float:
    weight = _equal(names)
    return float(weight @ (x * y) / (weight @ x**2))


def _equal(names: Sequence[str]) -> np.ndarray:
    weight = np.array([1 / list(names).count(name) for name in names])
    return weight / weight.sum()


def rule() -> dict[str, Any]:
    """Fits everything that the package needs."""
    cases = read("cases.csv")
    return {
        "schema": 1,
        "level": LEVEL,
        "least": LEAST,
        "lines": {name: fitted(cases, name) for name in INPUTS},
        "search": search(read("blackbox.csv")),
        "views": views([json.loads(text) for text in ECONOMY.read_text().splitlines()]),
        "scale": scale(read("diversity.csv")),
    }


def table(cases: Sequence[Case]) -> str:
    """Returns, for every case, what the lines that never saw its data set predict."""
    columns = {name: dict(_predictions(usable(cases, name), name)) for name in INPUTS}
    head = f"| data | model | before | head | gain | {' | '.join(INPUTS)} |"
    rows = [head, "|---|---|---:|---:|---:" + "|---:" * len(INPUTS) + "|"]
    for case in cases:
        key = _key(case)
        cells = [f"{columns[name][key]:+.0f}" if key in columns[name] else "" for name in INPUTS]
        known = ["" if case[name] is None else f"{case[name]:.1f}" for name in ("before", "head")]
        known.append(f"{case['gain']:+.1f}")
        rows.append(f"| {case['data']} | {case['model']} | {' | '.join(known + cells)} |")
    return "\n".join(rows)


def _predictions(cases: Sequence[Case], name: str) -> list[tuple[str, float]]:
    return [(_key(case), guess) for case, guess in zip(cases, left_out(cases, name).tolist(), strict=True)]


def _key(case: Case) -> str:
    return "/".join((case["data"], case["model"], case["setting"], case["source"]))


def summary(outcome: dict[str, Any]) -> str:
    """Returns the errors of the lines on left-out data sets."""
    rows = ["| line | cases | data sets | RMSE | MAE | coverage of the interval |", "|---|---:|---:|---:|---:|---:|"]
    for name, values in outcome["lines"].items():
        tested = [values[f"left_out_{what}"] for what in ("rmse", "mae", "coverage")]
        rows.append(f"| {name} | {values['cases']} | {values['data_sets']} | {' | '.join(map(str, tested))} |")
    return "\n".join(rows)


def sensitivity(cases: Sequence[Case]) -> str:
    """Returns what the two main lines become with fewer kinds of cases, and how they do on those left out."""
    own = [case for case in cases if case["certainty"] == "own run"]
    published = [case for case in cases if case["certainty"] != "own run"]
    sure = [case for case in cases if "remembered" not in case["certainty"]]
    rows = ["| line | fitted on | tested on | intercept | slope | RMSE |", "|---|---|---|---:|---:|---:|"]
    for name in ("head", "accuracy"):
        for words, train, unseen in (
            ("all", cases, []),
            ("published", published, own),
            ("own runs", own, published),
            ("none remembered", sure, [case for case in cases if case not in sure]),
        ):
            train, unseen = usable(train, name), usable(unseen, name)
            intercept, slope = line(train, name)
            guessed = [
                max(LEAST, room(case, name) * min(top(train, name), intercept + slope * (INPUTS[name](case) or 0.0)))
                for case in unseen
            ]
            errors = [guess - case["gain"] for guess, case in zip(guessed, unseen, strict=True)]
            rmse = f"{np.sqrt(np.mean(np.square(errors))):.1f}" if unseen else ""
            counts = f"{words} ({len(train)}) | the others ({len(unseen)})"
            rows.append(f"| {name} | {counts} | {intercept:.3f} | {slope:.4f} | {rmse} |")
    return "\n".join(rows)


if __name__ == "__main__":
    result = rule()
    RULE.write_text(json.dumps(result, indent=2) + "\n")
    outcome = read("cases.csv")
    text = f"{summary(result)}\n\n{sensitivity(outcome)}\n\n{table(outcome)}\n"
    (FOLDER / "table.md").write_text(text)
    print(json.dumps(result, indent=2), text, sep="\n\n")
