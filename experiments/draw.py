"""Draws the figure of each experiment from the raw results beside it, into <folder>/figure.png.

python experiments/draw.py [folder ...]
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent / "advice"))
sys.path.insert(0, str(Path(__file__).parent / "together"))
import table
from fit import read

HERE = Path(__file__).parent
INK, GREY, BLUE, ORANGE, GREEN = "#1f2430", "#9aa2ad", "#2563a8", "#d9701c", "#2f8f5b"
RUNGS = (
    ("no_prompt", "no prompt", GREY, "o"),
    ("output_only", "no prompt, best output transform", ORANGE, "D"),
    ("prompt_float", "prompt as trained, kept or not", BLUE, "o"),
)
METHODS = {"linear": GREY, "vpt-deep": BLUE, "sa2vp-deep": GREEN, "full": ORANGE}


def lines(folder: str, name: str = "results.jsonl") -> list[dict[str, Any]]:
    """Returns the raw results of a folder."""
    return [json.loads(line) for line in (HERE / folder / name).read_text("utf-8").splitlines()]


def clean(axes: Axes, label: str) -> None:
    """Leaves the axis below and light lines."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x", color="#dfe3e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(label)


def ladder(folder: str) -> Figure:
    """One row per run: the rungs of its ladder on the test images, with 95% intervals."""
    runs = lines(folder)
    figure = Figure(figsize=(8, 1.1 + 0.32 * len(runs)), layout="constrained")
    axes = figure.subplots()
    for row, run in enumerate(runs):
        for rung, title, colour, marker in RUNGS:
            score = run["result"]["accuracy"].get(rung)
            if score is not None and score["test"] is not None:
                axes.plot(score["ci95"], [row, row], color=colour, linewidth=1.5, alpha=0.5)
                title = title if row == 0 else f"_{title}"
                axes.plot(score["test"], row, marker, color=colour, markersize=6, label=title)
    axes.set_yticks(range(len(runs)), [run["name"] for run in runs])
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    clean(axes, "test accuracy, with its 95% interval")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def inside(folder: str) -> Figure:
    """One panel per data set: the methods by their mean over the seeds, and each seed."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines(folder):
        scores[line["data"]][line["name"]].append(line["test"])
    everywhere = [name for name in next(iter(scores.values())) if all(len(each[name]) >= 3 for each in scores.values())]
    figure = Figure(figsize=(9, 1.1 + 0.28 * len(everywhere)), layout="constrained")
    means = {name: statistics.mean(statistics.mean(each[name]) for each in scores.values()) for name in everywhere}
    order = sorted(everywhere, key=lambda name: -means[name])
    for axes, (data, each) in zip(figure.subplots(1, len(scores), sharey=True), scores.items(), strict=True):
        for row, name in enumerate(order):
            colour = METHODS.get(name, INK)
            axes.plot(each[name], [row] * len(each[name]), "|", color=colour, markersize=8, alpha=0.6)
            axes.plot(statistics.mean(each[name]), row, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_title(data)
        clean(axes, "test accuracy")
    figure.suptitle("Means, and each seed; VPT by SGD unless it says AdamW", fontsize=10)
    return figure


def starts(folder: str) -> Figure:
    """Pairs of runs that differ in the start alone."""
    pairs: dict[tuple[float, int], dict[str, float]] = defaultdict(dict)
    for line in lines(folder):
        pairs[line["lr"], line["seed"]][line["start"]] = line["test"]
    figure = Figure(figsize=(8, 1.1 + 0.32 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    for row, pair in enumerate(pairs.values()):
        axes.plot(list(pair.values()), [row] * len(pair), color=GREY, linewidth=1)
        for start, colour in (("fan-out", ORANGE), ("xavier", BLUE)):
            if start in pair:
                axes.plot(pair[start], row, "o", color=colour, label=start if row == 0 else f"_{start}")
    axes.set_yticks(range(len(pairs)), [f"rate {rate}, seed {seed}" for rate, seed in pairs])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    clean(axes, "test accuracy")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def advice(folder: str) -> Figure:
    """What a prompt gained against what a linear head gained, case by case."""
    del folder  # `fit.py` knows its own, and reads the numbers of own runs from their results
    cases = [case for case in read("cases.csv") if case["head"] is not None and case["before"] is not None]
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for known_data, colour in ((True, BLUE), (False, ORANGE)):
        of = [case for case in cases if ("remembered" not in case["certainty"]) is known_data]
        gains = [case["head"] - case["before"] for case in of]
        label = "read or measured" if known_data else "value before quoted from memory"
        axes.plot(gains, [case["gain"] for case in of], "o", color=colour, label=f"{label} ({len(of)})")
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
    axes.set_ylabel("gain of the prompt, points")
    clean(axes, "gain of a linear head on the same answers, points")
    axes.grid(axis="y", color="#dfe3e8", linewidth=0.8)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def overhead(folder: str) -> Figure:
    """The client's queries per second as a share of a bare loop's."""
    rows = [line for line in lines(folder, "overhead.jsonl") if "server_ms" in line]
    figure = Figure(figsize=(8, 1.1 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, line in enumerate(rows):
        for name, colour in (("in memory", GREY), ("client", BLUE)):
            label = {"client": "with the ledger on disk", "in memory": "with the ledger in memory"}[name]
            axes.plot(line["ratio"][name], row, "o", color=colour, label=label if row == 0 else f"_{label}")
    names = [f"{line['server_ms']:g} ms per answer, {line['concurrency']} at a time" for line in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.2)
    axes.axvline(1, color=GREY, linewidth=1)
    clean(axes, "queries per second over those of a bare loop")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def growth(folder: str) -> Figure:
    """How time and memory grow, each over that of the smallest point; the slope is that between the last two."""
    curves: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines(folder, "cost_growth.jsonl"):
        curves[line["what"]].append(line)
    columns = 4
    figure = Figure(figsize=(12, 2.6 * -(-len(curves) // columns)), layout="constrained")
    panels = list(figure.subplots(-(-len(curves) // columns), columns).flat)
    for axes, (name, points) in zip(panels, curves.items(), strict=False):
        values = [point["value"] for point in points]
        for unit, colour, marker, least in (("seconds", BLUE, "o", 1e-4), ("memory_mb", ORANGE, "D", 1.0)):
            numbers = [max(point[unit], least) for point in points]  # below that it is the process itself
            slope = math.log(numbers[-1] / numbers[-2]) / math.log(values[-1] / values[-2])
            label = f"{'time' if unit == 'seconds' else 'memory'}, slope {slope:.2f}"
            axes.plot(values, [number / numbers[0] for number in numbers], color=colour, marker=marker, label=label)
        axes.axline((values[0], 1), (values[-1], values[-1] / values[0]), color=GREY, linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
        axes.set_title(name, fontsize=10)
        clean(axes, points[0]["against"])
        axes.grid(axis="y", color="#dfe3e8", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    figure.suptitle("Over the smallest point; dotted: in proportion to what is varied", fontsize=10)
    return figure


def together(folder: str) -> Figure:
    """One row per data set and recipe: what a prompt beside a head changes, with 95% intervals."""
    groups = [(json.loads(settings), runs) for settings, runs in table.groups().items()]
    figure = Figure(figsize=(8, 1.1 + 0.32 * len(groups)), layout="constrained")
    axes = figure.subplots()
    for row, (_, runs) in enumerate(groups):
        mean, low, high = table.change(runs)
        colour = BLUE if low > 0 else ORANGE if high < 0 else GREY
        axes.plot([low, high], [row, row], color=colour, linewidth=1.5)
        axes.plot(mean, row, "o", color=colour, markersize=6)
    names = [f"{each['data']}, {each['model']}, {table.recipe(each)}" for each, _ in groups]
    axes.set_yticks(range(len(groups)), names)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    clean(axes, "points of test accuracy against the head alone")
    return figure


FIGURES: dict[str, Callable[[str], Figure]] = {
    "advice": advice,
    "benchmarks": growth,
    "clip": ladder,
    "demo": ladder,
    "dogs-and-cats": ladder,
    "mappings": ladder,
    "recipe": ladder,
    "remote": overhead,
    "sa2vp-start": starts,
    "together": together,
    "vpt": inside,
}

if __name__ == "__main__":
    for folder in sys.argv[1:] or FIGURES:
        FIGURES[folder](folder).savefig(HERE / folder / "figure.png", dpi=110)
