"""What a cascade of views and a local student save: real models made opaque, accuracy against queries per prediction.

MobileNetV2 is the paid model: it takes images of 112x112 and answers with its five likeliest classes, or with all
probabilities. ResNet-18 is the student at home. Each run may ask 1,000 queries to learn; its test is paid for beside.

python experiments/student/run.py ASSETS
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import machine

from pixprompt import TrainConfig, train
from pixprompt.ledger import Budget, Ledger, LocalJournal

HERE = Path(__file__).parent
TESTED, LEARNING, RUNGS = 150, 1000, 6


def economy() -> Any:
    """Returns the module of the query economy, which makes models opaque and cuts data sets down."""
    path = HERE.parent / "query-economy" / "run.py"
    spec = importlib.util.spec_from_file_location("economy", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["economy"] = module
    spec.loader.exec_module(module)
    return module


def rows() -> Iterator[dict[str, Any]]:
    """Every run."""
    for seed in range(3):
        for data in ("digits", "cifar10"):
            yield {"data": data, "answer": "top-5", "seed": seed}
    for data in ("digits", "cifar10"):
        yield {"data": data, "answer": "all", "seed": 0}


def run(row: dict[str, Any], assets: Path, scratch: Path) -> dict[str, Any]:
    """One run; answers that other runs have paid for come from a file, which saves time only."""
    journal = economy()
    data = journal.images(row["data"], row["seed"], assets, scratch)
    model = journal.opaque("mobilenet-v2", data, assets, row["answer"])
    config = TrainConfig(
        seed=row["seed"], budget=LEARNING + RUNGS * TESTED, test_images=TESTED, workers=0, device="cpu",
        student=journal.NAMES["resnet18"], student_weights=str(assets / "weights" / journal.FILES["resnet18"]),
    )  # fmt: skip
    ledger = Ledger(scratch / f"{row['data']}-{row['answer']}.sqlite")
    with tempfile.TemporaryDirectory() as out, ledger:
        journal = LocalJournal(model, ledger, Budget(None))
        result = train(config, out=Path(out) / "run", model=journal, data=data).to_json()
    return {**row, "machine": machine(), "result": result}


def summary(line: dict[str, Any]) -> str:
    """Returns one line of the table."""
    result, accuracy = line["result"], line["result"]["accuracy"]
    student, views = result["student"], result["views"]
    first = student["first"]
    whole = re.findall(r"the test accuracy is (0\.\d+)", " ".join(result["notes"]))
    cells = [
        line["data"], line["answer"], line["seed"], f"{accuracy['output_only']['test']:.3f}", len(views["views"]),
        whole[0] if whole else f"{accuracy['prompt_png']['test']:.3f}",
        f"{accuracy['prompt_png']['test']:.3f} at {result['queries']['per_prediction']:.2f}",
        f"{student['accuracy']['test']:.3f}", f"{first['test']:.3f} at {first['per_prediction']:.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assets", type=Path)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "student")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    results = HERE / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for row in rows():
        if not any(all(line[key] == value for key, value in row.items()) for line in lines):
            lines.append(run(row, options.assets.resolve(), options.scratch))
            with results.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
            print(summary(lines[-1]), flush=True)
    head = "| data | answers | seed | head alone | views | all views | cascade | student alone | student first |"
    table = [head, "|---" * 9 + "|", *map(summary, lines)]
    (HERE / "table.md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
