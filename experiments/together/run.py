"""A pixel prompt learned together with a linear head, against a head alone: the same test images, three seeds.

The head alone is the output transform that validates best without a prompt, fitted to the same images. The test images
of the three seeds have none in common. ImageNet classifiers take small images here, to be many times as fast.

python experiments/together/run.py ../shared RESULTS.jsonl --model mobilenet-v2 --data digits [epochs=8 lr=0.005]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pixprompt import Data, TrainConfig, from_arrays, load_model, train
from pixprompt.study import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "query-economy"))
import answers

NUM_TRAIN, NUM_VAL = 1000, 250
answers.NUM_IMAGES = 7500
RUNGS = ("output_only", "prompt_float")
FASHION = Path("/usr/share/datasets/fashion-mnist")


def split(name: str, assets: Path, fashion: Path, seed: int) -> Data:
    """Draws training, validation and test images; each seed below 3 tests on a third of its own, as far as they go."""
    pictures, labels = answers.images(name, assets, fashion)
    third = len(labels) // 3
    order = np.roll(np.random.default_rng(0).permutation(len(labels)), seed * third)
    ends = [NUM_TRAIN, NUM_TRAIN + NUM_VAL, NUM_TRAIN + NUM_VAL + third]
    pixels = np.stack([np.asarray(picture) for picture in pictures])
    parts = zip(("train", "val", "test"), np.split(order, ends), strict=False)
    sets = {part: from_arrays(pixels[chosen], labels[chosen], prefix=part) for part, chosen in parts}
    return Data(name, tuple(map(str, range(int(labels.max()) + 1))), **sets)


def run(options: argparse.Namespace, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Learns once and counts the test images that both, one or none of the two read right."""
    source, file = answers.WEIGHTS[options.model]
    weights = options.assets / "weights"
    model = load_model(source.format(weights), weights=weights / file if file else None)
    model.spec = replace(model.spec, image_size=(options.side, options.side))
    data, began = split(options.data, options.assets, options.fashion, seed), time.perf_counter()
    config = TrainConfig(model=options.model, data=options.data, seed=seed, **settings)
    with tempfile.TemporaryDirectory() as folder:
        result = train(config, out=Path(folder, "run"), model=model, data=data)
        bits = json.loads(Path(folder, "run/test.json").read_text())["right"]
        history = [json.loads(line) for line in Path(folder, "run/history.jsonl").read_text().splitlines()]
    alone, together = (
        np.unpackbits(np.frombuffer(bytes.fromhex(bits[rung]), np.uint8))[: result.counts["test"]] == 1
        for rung in RUNGS
    )
    return {
        "seed": seed,
        "head": float(alone.mean()),
        "together": float(together.mean()),
        "gained": int((together & ~alone).sum()),
        "lost": int((alone & ~together).sum()),
        "both": int((alone & together).sum()),
        "test": len(alone),
        "kept": result.best == "prompt",
        "best_head": [result.accuracy["output_only"].output, result.accuracy["output_only"].test],
        "val": [result.accuracy[rung].val for rung in RUNGS],
        "history": history,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
    }


def main() -> None:
    """Runs every seed that is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("settings", nargs="*", help="options of train, NAME=VALUE")
    parser.add_argument("--model", default="mobilenet-v2")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--fashion", type=Path, default=FASHION)
    options = parser.parse_intermixed_args()
    settings = {name: json.loads(value) for name, value in (pair.split("=") for pair in options.settings)}
    named = {"model": options.model, "data": options.data, "side": options.side, **settings}
    lines = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    for seed in map(int, options.seeds.split(",")):
        if any(line["seed"] == seed and line["settings"] == named for line in lines):
            continue
        line = {"settings": named, **run(options, settings, seed)}
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print({name: line[name] for name in ("seed", "head", "together", "gained", "lost", "kept")}, named, flush=True)


if __name__ == "__main__":
    main()
