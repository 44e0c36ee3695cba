"""What a cascade of views and a local student save: real models made opaque, accuracy against queries per prediction.

MobileNetV2 is the paid model: it takes images of 112x112 and answers with its five likeliest classes, or with all
probabilities. ResNet-18 is the student at home. Each run may ask 1,000 queries to learn; its test is paid for beside.

python experiments/student/run.py ASSETS
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixprompt import Data, TrainConfig, as_model, from_arrays, load_model, train
from pixprompt.ledger import Budget, Ledger, LocalJournal
from pixprompt.study import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "query-economy"))
import answers
from answers import WEIGHTS

HERE = Path(__file__).parent
NUM_TRAIN, TESTED, LEARNING, RUNGS, SIDE = 1000, 150, 1000, 6, 112


def split(name: str, assets: Path, seed: int) -> Data:
    """Draws 1,000 images to learn from, and as many to choose by as to test on."""
    pictures, labels = answers.images(name, assets, Path())
    order = np.random.default_rng(seed).permutation(len(labels))[: NUM_TRAIN + 2 * TESTED]
    pixels = np.stack([np.asarray(picture) for picture in pictures])
    parts = zip(("train", "val", "test"), np.split(order, [NUM_TRAIN, NUM_TRAIN + TESTED]), strict=True)
    sets = {part: from_arrays(pixels[chosen], labels[chosen], prefix=part) for part, chosen in parts}
    return Data(name, tuple(map(str, range(int(labels.max()) + 1))), **sets)


def opaque(name: str, answer: str, assets: Path) -> Any:
    """Returns a classifier that says its five likeliest classes only, or all probabilities."""
    net = load_model(WEIGHTS[name][0], weights=assets / "weights" / WEIGHTS[name][1])
    labels = [str(index) for index in range(net.spec.num_outputs)]

    def classify(images: Tensor) -> Any:
        with torch.inference_mode():
            shares = net.answer(net.normalize(images)).softmax(1)
        if answer == "all":
            return shares
        values, indices = shares.topk(5)
        rows = zip(indices.tolist(), values.tolist(), strict=True)
        return [{labels[index]: value for index, value in zip(*row, strict=True)} for row in rows]

    return as_model(classify, image_size=SIDE, labels=labels, name=f"{name}-{answer}", takes="tensor")


def rows() -> Iterator[dict[str, Any]]:
    """Every run."""
    for seed in range(3):
        for data in ("digits", "cifar10"):
            yield {"data": data, "answer": "top-5", "seed": seed}
    for data in ("digits", "cifar10"):
        yield {"data": data, "answer": "all", "seed": 0}


def run(row: dict[str, Any], assets: Path, scratch: Path) -> dict[str, Any]:
    """One run; answers that other runs have paid for come from a file, which saves time only."""
    data, model = split(row["data"], assets, row["seed"]), opaque("mobilenet-v2", row["answer"], assets)
    student, file = WEIGHTS["resnet18"]
    config = TrainConfig(
        seed=row["seed"], budget=LEARNING + RUNGS * TESTED, test_images=TESTED, workers=0, device="cpu",
        student=f"{student}@{SIDE}", student_weights=str(assets / "weights" / file),
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
