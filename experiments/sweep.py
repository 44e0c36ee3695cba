"""Runs a list of configurations one after the other, keeps the raw results, and prints a table.

Every result is appended to `results.jsonl` beside the experiment as soon as it is there; a configuration that is
already in the file is not run again. Give the folder with the real weights and images as the first argument.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixprompt import TrainConfig, study, train
from pixprompt.bench import machine


def sweep(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]], places: Mapping[str, Path]) -> None:
    """Runs rows of (name, settings); "{assets}" and "{scratch}" in a setting stand for those folders."""
    path = folder / "results.jsonl"
    pairs = [(line["name"], line["settings"]) for line in _lines(path)]
    for name, settings in rows:
        if (name, dict(settings)) in pairs:
            continue
        filled = {key: _filled(value, places) for key, value in settings.items()}
        with tempfile.TemporaryDirectory() as out:
            result = train(TrainConfig(**filled), out=out).to_json()
        result["model"], result["data"] = settings.get("model", result["model"]), settings.get("data", result["data"])
        line = {"name": name, "settings": dict(settings), "machine": machine(), "result": result}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(study.table_row(line), flush=True)


def _filled(value: Any, places: Mapping[str, Path]) -> Any:
    for name, place in places.items():
        value = value.replace(f"{{{name}}}", str(place)) if isinstance(value, str) else value
    return value


def write_csv(images: Path, path: Path, *, train: int, test: int, classes: Sequence[str] | None = None) -> None:
    """Lists the first images of each class of a folder data set, as a csv: data set."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        for split, count in (("train", train), ("test", test)):
            for name in classes or sorted(result.name for result in (images / split).iterdir()):
                files = sorted((images / split / name).iterdir())[:count]
                writer.writerows((file, name, split) for file in files)


def table(folder: Path) -> str:
    """Returns the results as a Markdown table, in the order in which they were run."""
    return study.table(_lines(folder / "results.jsonl"))


def main(
    folder: Path,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    prepare: Callable[[Path, Path], None] = lambda assets, scratch: None,
) -> None:
    """Runs what is missing and writes table.md.

    Args:
        folder: Of the experiment.
        rows: (name, settings) of each run.
        prepare: Given the folder with weights and images (first argument of the command) and an empty scratch folder.
    """
    assets = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        prepare(assets, Path(scratch))
        sweep(folder, rows, {"assets": assets, "scratch": Path(scratch)})
    (folder / "table.md").write_text(table(folder) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
