"""Prints one table of all methods in this folder: means over seeds of `pixels.jsonl` and `white_box.jsonl`."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RUNGS = ("no_prompt", "output_only", "prompt_float")


def table() -> str:
    """Returns a row per method, model and data set: parameters, seeds, and the mean test accuracy of each rung."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for name in ("pixels", "white_box"):
        path = HERE / f"{name}.jsonl"
        for line in map(json.loads, path.read_text().splitlines() if path.exists() else ()):
            groups.setdefault((line["model"], line["data"], line["method"]), []).append(line["result"])
    rows = ["| model | data | method | parameters | seeds | as it is | best output | method |", "|---" * 8 + "|"]
    for names, results in groups.items():
        means = [np.mean([result["accuracy"][rung]["test"] for result in results]) for rung in RUNGS]
        cells = [*names, f"{results[0]['parameters']:,}", str(len(results)), *(f"{mean:.3f}" for mean in means)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
