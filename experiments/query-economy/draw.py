"""The table and the figure of what `run.py` recorded: python experiments/query-economy/draw.py"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
BUDGETS = (25, 200, 1000, 5000, 20_000)
DATA = ("digits", "cifar10", "flowers5", "fashion-mnist")
ANSWERS = ("all", "top-5", "label")
COLORS = {
    "head alone": "#777777",
    "default": "black",
    "default, price ignored": "#1f6fb4",
    "one view": "#2a9d4a",
    "first 3 views": "#e08214",
    "first 8 views": "#b2182b",
    "default, surrogate": "#7b3fa0",
}
Key = tuple[str, str, str, str]
"""Model, data, answers, method."""
Cells = dict[Key, dict[int, list[tuple[float, int]]]]
"""Of each seed, test accuracy and queries per prediction, by budget."""


def cells() -> Cells:
    """Reads the results."""
    result: Cells = defaultdict(lambda: defaultdict(list))
    for text in (HERE / "results.jsonl").read_text().splitlines():
        line = json.loads(text)
        key = (line["model"], line["data"], line["answer"], line["method"])
        result[key][line["budget"]].append((line["accuracy"], line["queries_per_prediction"]))
    return result


def shown(seeds: list[tuple[float, int]]) -> str:
    """Mean accuracy, the half range over the seeds, how many seeds there are, and the queries per prediction."""
    if not seeds:
        return "not run"
    scores = [score for score, _ in seeds]
    text = f"{statistics.mean(scores):.3f}±{(max(scores) - min(scores)) / 2:.3f}"
    price = statistics.mean(price for _, price in seeds)
    return text + (f" ({price:.1f})" if price > 1 else "") + (f" [{len(seeds)}]" if len(seeds) != 3 else "")


def table(result: Cells) -> str:
    """A Markdown table for each model, data set and kind of answer."""
    parts = [
        "Test accuracy by queries to learn: the mean of three seeds ± half their range; in round brackets the queries "
        "per prediction where they are more than one, in square brackets the number of seeds where it is not three."
    ]
    for model, data, answer in dict.fromkeys(key[:3] for key in sorted(result)):
        budgets = BUDGETS if data in DATA else sorted(result[model, data, answer, "default"])
        heads = [f"{model}, {data}, {answer}", *(f"{budget:,}" for budget in budgets)]
        parts.append(f"\n| {' | '.join(heads)} |")
        parts.append("|---" * (len(budgets) + 1) + "|")
        for method in COLORS if model != "mini-clip" else ("head alone", "default"):
            row = [shown(result.get((model, data, answer, method), {}).get(budget, [])) for budget in budgets]
            if "not run" not in row:
                parts.append(f"| {method} | " + " | ".join(row) + " |")
    return "\n".join(parts)


def pixels() -> str:
    """A Markdown table of the prompts that were searched by answers, each scored as it is, kept or not."""
    runs: dict[str, dict[tuple[str, str], list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    kept: dict[str, int] = defaultdict(int)
    for text in (HERE / "pixels.jsonl").read_text().splitlines():
        run = json.loads(text)
        rungs = {name: rung["test"] for name, rung in run["accuracy"].items() if rung}
        runs[run["method"]][run["model"], run["data"]].append(rungs)
        kept[run["method"]] += run["best"] not in ("none", "output_only")
    pairs = list(dict.fromkeys(pair for result in runs.values() for pair in result))
    parts = [f"\n| pixels by 5,000 answers | {' | '.join(map(', '.join, pairs))} | runs that keep it |"]
    parts.append("|---" * (len(pairs) + 2) + "|")
    for method, result in runs.items():
        row = []
        for pair in pairs:
            own = statistics.mean(rungs["prompt_float"] for rungs in result[pair])
            without = statistics.mean(rungs.get("output_only", rungs["no_prompt"]) for rungs in result[pair])
            row.append(f"{own:.3f} ({without:.3f})")
        count = sum(map(len, result.values()))
        parts.append(f"| {method} | {' | '.join(row)} | {kept[method]} of {count} |")
    return "\n".join([*parts, "\nIn brackets the best output transform of the same run without a prompt; one seed."])


def line(result: Cells, data: str, answer: str, method: str, value: int) -> list[tuple[int, float, float]]:
    """(budget, mean, standard error) over the classifiers and seeds; only where all classifiers were run."""
    models = {key[0] for key in result if key[0] != "mini-clip"}
    points = []
    for budget in BUDGETS:
        runs = [result.get((model, data, answer, method), {}).get(budget, []) for model in models]
        if all(runs):
            means = [statistics.mean(each[value] for each in seeds) for seeds in zip(*runs, strict=False)]
            error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0
            points.append((budget, statistics.mean(means), error))
    return points


def compare(axes: Axes, result: Cells, data: str, answer: str) -> None:
    """One line for each method."""
    for method, color in COLORS.items():
        points = line(result, data, answer, method, 0)
        if points:
            where, means, errors = zip(*points, strict=True)
            reach, width = [2 * error for error in errors], 2.5 if method == "default" else 1.3
            axes.errorbar(where, means, reach, fmt="o-", ms=4, lw=width, color=color, capsize=3, label=method)
    axes.set(title=f"{data}, {answer}", xscale="log", ylabel="test accuracy" if data == DATA[0] else None)


def draw(result: Cells, path: Path) -> None:
    """One panel for each data set and kind of answer, and below them what a prediction costs."""
    figure, panels = plt.subplots(4, 4, figsize=(16, 14), sharex=True, constrained_layout=True)
    for column, data in enumerate(DATA):
        for row, answer in enumerate(ANSWERS):
            compare(panels[row][column], result, data, answer)
        show_price(panels[3][column], result, data)
    panels[3][0].set_ylabel("queries per prediction")
    for axes in (panels[0][0], panels[3][0]):
        axes.legend(frameon=False, fontsize=9)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    figure.suptitle("Mean of three ImageNet classifiers; bars are two standard errors over the seeds")
    figure.savefig(path, dpi=80)


def show_price(axes: Axes, result: Cells, data: str) -> None:
    """Queries per prediction of the default, one line for each kind of answer."""
    for answer, style in zip(ANSWERS, ("o-", "s--", "^:"), strict=True):
        points = line(result, data, answer, "default", 1)
        if points:
            where, means, _ = zip(*points, strict=True)
            axes.plot(where, means, style, color="black", label=answer)
    axes.set(title=f"{data}: cost of the default", xlabel="queries to learn", ylim=(0, None))


if __name__ == "__main__":
    recorded = cells()
    (HERE / "table.md").write_text(table(recorded) + "\n" + pixels() + "\n")
    draw(recorded, HERE / "economy.png")
