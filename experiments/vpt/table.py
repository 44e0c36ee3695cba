"""Writes table.md from results.jsonl: mean and sample standard deviation over the seeds, one row per method.

python experiments/vpt/table.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = {"cifar10": "CIFAR-10", "flowers5": "flowers5", "digits": "digits"}
NAMES = {
    "mlp": "mlp-3",
    "partial": "partial-1",
    "vpt-shallow": "vpt-shallow, SGD",
    "vpt-deep": "vpt-deep, SGD",
    "vpt-shallow, adamw": "vpt-shallow, AdamW",
    "vpt-deep, adamw": "vpt-deep, AdamW",
}
ABLATIONS = ("global", "without adapters", "without supervision")
ORDER = [
    *("linear", "mlp", "partial", "vpt-shallow", "vpt-deep", "vpt-shallow, adamw", "vpt-deep, adamw"),
    *("bias", "adapter", "lora", "adaptformer", "side", "full", "sa2vp-shallow", "sa2vp-deep"),
    *(f"sa2vp-deep, {name}" for name in ABLATIONS),
]


START = (
    "The rows of sa2vp were made with an earlier start of its prompt adapters, normal by fan-out; it is Xavier's "
    "uniform now (`sa2vp-start`)."
)
"""To go when they have been run again."""


def spread(values: list[float]) -> str:
    """Returns mean and deviation."""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}" if values else "not run"


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """Returns one line of the table."""
    scores = [spread([run["test"] for run in runs if run["data"] == data]) for data in DATA]
    rates = sorted({run["lr"] for run in runs})
    seconds = statistics.mean(run["cpu_seconds"] for run in runs)
    first = max(runs, key=lambda run: run["tuned"])  # the head is larger with ten classes than with five
    cells = [NAMES.get(name, name), f"{first['tuned']:,}", f"{first['share']:.2%}", *scores, f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} | {runs[0]['optimizer']}, {' or '.join(map(str, rates))} |"


def main() -> None:
    """Writes the table."""
    runs = [json.loads(line) for line in (HERE / "results.jsonl").read_text().splitlines()]
    compared = [run for run in runs if "pilots" in run]
    names = sorted({run["name"] for run in compared}, key=ORDER.index)
    lines = [
        f"| method | tuned | of the backbone | {' | '.join(DATA.values())} | CPU seconds | optimiser, rate |",
        "|---|---|---|---|---|---|---|---|",
        *(row(name, [run for run in compared if run["name"] == name]) for name in names),
    ]
    (HERE / "table.md").write_text("\n".join([*lines, "", START]) + "\n")


if __name__ == "__main__":
    main()
