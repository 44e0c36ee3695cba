"""Prints a table: the head alone, the prompt with the head, and their paired difference over all seeds.

python experiments/together/table.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pixprompt.intervals import paired_difference

HERE = Path(__file__).parent


def groups() -> dict[str, list[dict[str, Any]]]:
    """Returns the runs by their settings, in the order of the results."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (HERE / "results.jsonl").read_text().splitlines():
        run = json.loads(line)
        runs[json.dumps(run["settings"])].append(run)
    return runs


def change(runs: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Returns the mean change in points, and its interval over the test images of all seeds."""
    total = {name: sum(run[name] for run in runs) for name in ("gained", "lost", "both", "test")}
    low, high = paired_difference(total["gained"], total["lost"], total["both"], total["test"])
    return 100 * (total["gained"] - total["lost"]) / total["test"], 100 * low, 100 * high


def recipe(settings: dict[str, Any]) -> str:
    """Returns what differs from the defaults."""
    rest = {name: value for name, value in settings.items() if name not in ("model", "data", "side", "test_images")}
    return ", ".join(f"{name} {value}" for name, value in rest.items()) or "default"


def row(settings: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """Returns one line: means over the seeds, and the change."""
    head, together = (sum(run[name] for run in runs) / len(runs) for name in ("head", "together"))
    mean, low, high = change(runs)
    gained, lost, test = (sum(run[name] for run in runs) for name in ("gained", "lost", "test"))
    return (
        f"| {settings['data']} | {settings['model']}, {settings['side']} | {recipe(settings)} | {len(runs)} | "
        f"{head:.3f} | {together:.3f} | {mean:+.1f} ({low:+.1f} to {high:+.1f}) | "
        f"+{gained} -{lost} of {test} | {sum(run['kept'] for run in runs)} |"
    )


def main() -> None:
    """Draws the table from the results."""
    first = ("data", "model, side", "recipe", "seeds", "head alone", "together")
    columns = (*first, "change, 95% paired", "images", "kept")
    lines = [
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(row(json.loads(settings), runs) for settings, runs in groups().items()),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
