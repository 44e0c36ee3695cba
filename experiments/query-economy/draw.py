"""Merges the results of the parts, writes table.md and economy.png from them.

python experiments/query-economy/draw.py
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HERE = Path(__file__).parent
SHOWN = ("default", "no prompt", "no prompt, mapping", "VP, spsa-gc in pixels", "BAR", "BlackVIP", "surrogate first")


def lines() -> list[dict[str, Any]]:
    """All results, each once; what the parts hold is moved into results.jsonl."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(HERE.glob("results*.jsonl")):
        for text in path.read_text().splitlines():
            line = json.loads(text)
            key = json.dumps([line[name] for name in ("model", "data", "method", "budget", "seed", "answer")])
            found[key] = line
        if path.name != "results.jsonl":
            path.unlink()
    (HERE / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found.values()))
    return list(found.values())


def scored(found: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], dict[int, list[float]]]:
    """(model, data, method, answer) -> budget -> test accuracies of the seeds."""
    scores: dict[tuple[str, ...], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in found:
        key = (line["model"], line["data"], line["method"], line["answer"])
        scores[key][line["budget"]].append(
            line["result"]["accuracy"]["prompt_png"]["test"]
            if line["result"]["accuracy"]["prompt_png"]
            else line["result"]["accuracy"]["prompt_float"]["test"]
        )
    return scores


def cell(values: list[float]) -> str:
    """Mean and deviation over seeds."""
    if not values:
        return ""
    spread = f"±{statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def table(scores: dict[tuple[str, ...], dict[int, list[float]]]) -> str:
    """One table per model and data set, methods by budgets."""
    budgets = sorted({budget for values in scores.values() for budget in values})
    parts = []
    for pair in dict.fromkeys(key[:2] for key in scores):
        head = f"| {pair[0]}, {pair[1]} | " + " | ".join(f"{budget:,}" for budget in budgets) + " |"
        rows = [head, "|---" * (len(budgets) + 1) + "|"]
        for key, values in scores.items():
            if key[:2] == pair:
                name = key[2] if key[3] == "all" else f"{key[2]} ({key[3]} answers)"
                rows.append(f"| {name} | " + " | ".join(cell(values.get(budget, [])) for budget in budgets) + " |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def draw(scores: dict[tuple[str, ...], dict[int, list[float]]], path: Path) -> None:
    """Test accuracy against queries, one panel per model and data set."""
    pairs = list(dict.fromkeys(key[:2] for key in scores))
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for axes, pair in zip(panels, pairs, strict=False):
        for index, method in enumerate(SHOWN):
            values = scores.get((*pair, method, "all"), {})
            points = sorted((budget, each) for budget, each in values.items())
            if not points:
                continue
            where = [max(budget, 5) for budget, _ in points]
            means = [statistics.mean(each) for _, each in points]
            style = {"lw": 2.5, "color": "black"} if method == "default" else {"lw": 1.2, "color": f"C{index}"}
            axes.plot(where, means, "o-", ms=4, label=method, **style)
            axes.fill_between(
                where,
                [min(each) for _, each in points],
                [max(each) for _, each in points],
                alpha=0.12,
                color=style["color"],
            )
        axes.set(title=", ".join(pair), xscale="log", xlabel="queries to learn (0 drawn at 5)", ylabel="test accuracy")
        axes.set_ylim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    found = scored(lines())
    (HERE / "table.md").write_text(table(found) + "\n")
    draw(found, HERE / "economy.png")
