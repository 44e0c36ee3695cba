"""Runs a list of configurations one after the other, keeps the raw results, and prints a table.

Every result is appended to `results.jsonl` beside the experiment as soon as it is there; a configuration that is
already in the file is not run again. Give the folder with the real weights and images as the first argument.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pixprompt.engine import TrainConfig, train


def sweep(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]], assets: Path) -> None:
    """Runs rows of (name, settings); "{assets}" in a setting stands for the folder with weights and images."""
    path = folder / "results.jsonl"
    done = {line["name"] for line in _lines(path)}
    for name, settings in rows:
        if name in done:
            continue
        filled = {key: v.replace("{assets}", str(assets)) if isinstance(v, str) else v for key, v in settings.items()}
        with tempfile.TemporaryDirectory() as out:
            result = train(TrainConfig(**filled), out=out).to_json()
        result["model"], result["data"] = settings.get("model", result["model"]), settings.get("data", result["data"])
        line = {"name": name, "settings": dict(settings), "machine": machine(), "result": result}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(row(line), flush=True)


def machine() -> str:
    """Names the machine well enough to compare figures of one file."""
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def table(folder: Path) -> str:
    """Returns the results as a Markdown table, in the order in which they were run."""
    head = "| run | no prompt | best output alone | prompt, float | prompt, PNG (95%) | kept | seconds |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(row, _lines(folder / "results.jsonl"))])


def row(line: Mapping[str, Any]) -> str:
    """Returns one line of the table: test accuracies."""
    result = line["result"]
    rungs = result["accuracy"]
    shown = [f"{rungs['no_prompt']['test']:.3f}"]
    shown.append(f"{rungs['output_only']['test']:.3f} ({rungs['output_only']['output']})")
    shown.append(f"{rungs['prompt_float']['test']:.3f}")
    low, high = rungs["prompt_png"]["ci95"]
    shown.append(f"{rungs['prompt_png']['test']:.3f} ({low:.3f}-{high:.3f})")
    return f"| {line['name']} | {' | '.join(shown)} | {result['best']} | {result['seconds']:.0f} |"


def main(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Runs what is missing, with the assets folder from the command line, and writes table.md."""
    assets = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared")
    sweep(folder, rows, assets)
    (folder / "table.md").write_text(table(folder) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
