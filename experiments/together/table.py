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


def row(settings: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """Returns one line: means over the seeds, and the interval over the test images of all of them."""
    total = {name: sum(run[name] for run in runs) for name in ("gained", "lost", "both", "test")}
    low, high = paired_difference(total["gained"], total["lost"], total["both"], total["test"])
    head, together = (sum(run[name] for run in runs) / len(runs) for name in ("head", "together"))
    recipe = (
        f"{settings['template']}, rate {settings['lr']:g}, {settings['epochs']} epoch{'s' * (settings['epochs'] > 1)}"
    )
    recipe += ", head that has seen the images" * settings["seen"]
    remaining = sum(run["kept"] for run in runs)
    return (
        f"| {settings['data']} | {settings['model']}, {settings['side']} | {recipe} | {len(runs)} | {head:.3f} | "
        f"{together:.3f} | {100 * (together - head):+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) | "
        f"+{total['gained']} -{total['lost']} of {total['test']} | {remaining} |"
    )


def main() -> None:
    """Draws the table from the results."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (HERE / "results.jsonl").read_text().splitlines():
        run = json.loads(line)
        groups[json.dumps(run["settings"])].append(run)
    lines = [
        "| data | model, side | recipe | seeds | head alone | together | change, 95% paired | images | kept |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(json.loads(settings), runs) for settings, runs in groups.items()),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
