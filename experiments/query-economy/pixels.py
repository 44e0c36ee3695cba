"""Pixels searched by answers on real models, method against method: each one's own prompt scored, kept or not.

The data are those of `run.py`, 1,000 images to learn from (a fifth of them to validate on) and 500 to test on; models
answer with the scores of all their classes for images of 112x112. Queries for the test are not counted. Appends to
`pixels.jsonl` what is not there yet.

python experiments/query-economy/pixels.py ../shared [--budgets 5000] [--seeds 0] [--data digits,cifar10]
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answers import images
from run import drawn

from pixprompt import load_model
from pixprompt.data import Data, from_arrays
from pixprompt.engine import TrainConfig, train
from pixprompt.outputs import stratified_folds

HERE = Path(__file__).parent
SIDE = 112
SIZE = 15
MODELS = {"mobilenet-v2": "torchvision:mobilenet_v2/IMAGENET1K_V1", "resnet18": "torchvision:resnet18"}
SMALL = {"population": 2, "sigma": 0.02, "lr": 0.02}
MAPPED = {"output": "frequency", "head_images": 100}
"""The published methods read the answers by a fixed label mapping; 100 labelled images are enough for one."""
METHODS: dict[str, dict[str, Any]] = {
    "spsa, blocks": {"optimizer": "spsa", "basis": "blocks", **SMALL},
    "spsa, pixels": {"optimizer": "spsa", "basis": "pixels", **SMALL},
    "spsa-gc, dct": {"optimizer": "spsa-gc", **SMALL, "lr": 0.01},
    "bar, dct": {"optimizer": "bar", **SMALL},
    "nes, dct": {"optimizer": "nes", **SMALL},
    "cma, dct": {"optimizer": "cma", "sigma": 0.02},
    "sep-cma, dct": {"optimizer": "sep-cma", "sigma": 0.02},
    "surrogate first": {"optimizer": "spsa", "surrogate": True},
    "VP, spsa-gc in pixels": {"optimizer": "spsa-gc", "basis": "pixels", "fit": "resize", "start": "flat", **MAPPED},
    "BAR": {"method": "bar", **MAPPED},
    "BlackVIP": {"method": "blackvip", **MAPPED},
}


def split(name: str, seed: int, assets: Path) -> Data:
    """The images of `run.py`, in three splits."""
    pictures, truth = images(name, assets, Path("/usr/share/datasets/fashion-mnist"))
    pixels, labels = np.stack([np.asarray(picture) for picture in pictures]), torch.from_numpy(truth)
    learn, test = drawn(labels, seed)
    is_val = stratified_folds(labels[learn]) == 0
    parts = {"train": learn[~is_val], "val": learn[is_val], "test": test}
    sets = {part: from_arrays(pixels[at.numpy()], truth[at.numpy()], prefix=part) for part, at in parts.items()}
    return Data(name, tuple(map(str, range(int(labels.max()) + 1))), **sets)


def run(row: dict[str, Any], data: Data, assets: Path) -> dict[str, Any]:
    """One run: the accuracies of its ladder on test, and whether its prompt was kept."""
    values = dict(METHODS[row["method"]])
    other = next(name for name in MODELS if name != row["model"])
    files = {"mobilenet-v2": "mobilenet_v2.safetensors", "resnet18": "resnet18.safetensors"}
    weights = {name: str(assets / "weights" / file) for name, file in files.items()}
    if values.pop("surrogate", False):
        values |= {"surrogate": f"{MODELS[other]}@{SIDE}", "surrogate_weights": weights[other], "epochs": 3}
    if values.get("method") == "blackvip":
        values |= {"encoder": MODELS[other], "encoder_weights": weights[other]}
    model = load_model(f"{MODELS[row['model']]}@{SIDE}", weights=weights[row["model"]])
    config = TrainConfig(
        **({"size": SIZE} if "method" not in values else {}), **values, views="none", search_anyway=True,
        seed=row["seed"], budget=row["budget"] + 2 * len(data.test), test_images=len(data.test), workers=0,
        device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        result = train(config, out=out, model=model, data=data).to_json()
    return {**row, "best": result["best"], "accuracy": result["accuracy"], "queries": result["queries"]}


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--budgets", type=lambda text: [int(each) for each in text.split(",")], default=[5000])
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--data", default="digits,cifar10")
    parser.add_argument("--methods", type=lambda text: text.split(";"), default=list(METHODS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "pixels.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = ("seed", "budget", "method", "data", "model")
    known = {tuple(line[name] for name in names) for line in lines}
    for values in itertools.product(options.seeds, options.budgets, options.methods, options.data.split(","), MODELS):
        row = dict(zip(names, values, strict=True))
        if values not in known:
            line = run(row, split(row["data"], row["seed"], options.assets), options.assets)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
