"""Test accuracy of a zero-shot endpoint that is asked about the classes alone, or about common nouns as well.

Both runs ask the same number of queries; `pixprompt evaluate` then scores them on all test images.

python experiments/vocabulary/run.py ASSETS
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from sweep import machine

from pixprompt.cli import main as pixprompt

HERE = Path(__file__).parent
QUERIES = 1000


def called(*words: str) -> dict[str, Any]:
    """Runs a command of pixprompt and returns its JSON."""
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        code = pixprompt([*words, "--json"])
    if code:
        raise SystemExit(code)
    payload: dict[str, Any] = json.loads(stdout.getvalue())
    return payload


def rows() -> Iterator[dict[str, Any]]:
    """Every run."""
    for seed in range(3):
        for data in ("digits", "flowers5"):
            for vocabulary in ("none", "auto"):
                yield {"data": data, "vocabulary": vocabulary, "method": "pixel", "seed": seed}


def run(row: dict[str, Any], assets: Path, out: Path) -> dict[str, Any]:
    """Learns and scores."""
    data = row["data"] if row["data"] == "digits" else f"folder:{assets / 'data' / row['data']}"
    model = ("--model", "python:zero_shot:classify")
    options = [f"--{name}={row[name]}" for name in ("vocabulary", "method", "seed")]
    learned = called(
        "train", *model, "--data", data, *options, "--budget", str(QUERIES), "--test-images=0", "--workers=0",
        "--out", str(out),
    )  # fmt: skip
    scored = called("evaluate", str(out), *model, "--data", data, "--workers=0")
    return {**row, "machine": machine(), "learned": learned, "scored": scored}


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assets", type=Path)
    options = parser.parse_args()
    os.environ["PIXPROMPT_ASSETS"] = str(options.assets.resolve())
    results = HERE / "results.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for row in rows():
        if not any(all(line[key] == value for key, value in row.items()) for line in known):
            with tempfile.TemporaryDirectory() as folder:
                line = run(row, options.assets.resolve(), Path(folder) / "run")
            with results.open("a") as file:
                file.write(json.dumps(line).replace(str(options.assets.resolve()), "{assets}") + "\n")
            print(row, line["scored"]["accuracy"]["prompt_png"], flush=True)
    (HERE / "table.md").write_text("\n".join(table(results)) + "\n")


def table(results: Path) -> Iterator[str]:
    """Yields a Markdown table: test accuracy by data set and vocabulary, of each seed and their mean."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    yield "| data | vocabulary | labels per query | seeds | mean |"
    yield "|---|---|---|---|---|"
    for data in ("digits", "flowers5"):
        for vocabulary in ("none", "auto"):
            chosen = [line for line in lines if (line["data"], line["vocabulary"]) == (data, vocabulary)]
            scores = [line["scored"]["accuracy"]["prompt_png"]["test"] for line in chosen]
            if scores:
                labels = {line["learned"]["queries"].get("labels", len(line["learned"]["classes"])) for line in chosen}
                text = ", ".join(f"{score:.3f}" for score in scores)
                yield f"| {data} | {vocabulary} | {labels.pop()} | {text} | {sum(scores) / len(scores):.3f} |"


if __name__ == "__main__":
    main()
