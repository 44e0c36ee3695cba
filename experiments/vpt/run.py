"""VPT and SA²VP against their baselines on the real ViT-Ti/16: three data sets of 1,000 training images, three seeds.

Protocol: 800 images train, 200 validate, up to 500 test, drawn once. For each method the learning rate is chosen
among three to six on the validation images of CIFAR-10 (seed 0, a few epochs); for methods that cost little, on those
of each data set. Then three seeds train on the 800 images; each is tested once, at the epoch that validated best.
Methods whose frozen part is kept in memory train for more epochs, since they cost almost nothing. The ablations of
SA²VP take the rate of the whole method. Images are 96x96 (36 patches, position embedding interpolated once), so that
this fits two CPU cores; the papers' are 224x224.

python experiments/vpt/run.py ../shared [--part 0/2] [--only TEXT] [--curves RATE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import machine

import pixprompt
from pixprompt.adapters import METHODS as KNOWN, make_white_box
from pixprompt.data import Data, join, load_data

HERE = Path(__file__).parent
SIDE = 96
DATA = ("cifar10", "flowers5", "digits")
SEEDS = (0, 1, 2)
EPOCHS, PILOT, BATCH = 4, 2, 16
KEPT = {"linear": 50, "mlp": 50, "partial": 15}
"""Epochs of the methods whose frozen part runs once."""
RATES = {
    **dict.fromkeys(("linear", "mlp"), (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)),
    **dict.fromkeys(("vpt-shallow", "vpt-deep"), (0.01, 0.1, 1.0)),
    **dict.fromkeys(("vpt-shallow, adamw", "vpt-deep, adamw"), (0.001, 0.003, 0.01)),
    "side": (0.001, 0.01, 0.1),
    **dict.fromkeys(("sa2vp-deep", "sa2vp-shallow"), (0.001, 0.003, 0.01)),
}
BY_ADAMW = (0.0003, 0.001, 0.003)
WHOLE = "sa2vp-deep"
ABLATIONS: dict[str, dict[str, Any]] = {
    "global": {"window": 0},
    "without adapters": {"bottleneck": 0},
    "without supervision": {"balance": 1.0},
}
METHODS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"layers": 3},
    "partial": {"layers": 1},
    "vpt-shallow": {"tokens": 10, "optimizer": "sgd"},
    "vpt-deep": {"tokens": 10, "optimizer": "sgd"},
    "vpt-shallow, adamw": {"method": "vpt-shallow", "tokens": 10, "optimizer": "adamw"},
    "vpt-deep, adamw": {"method": "vpt-deep", "tokens": 10, "optimizer": "adamw"},
    "bias": {},
    "adapter": {},
    "lora": {},
    "adaptformer": {},
    "side": {},
    "full": {},
    "sa2vp-deep": {},
    "sa2vp-shallow": {},
    **{f"{WHOLE}, {name}": {"method": WHOLE, **values} for name, values in ABLATIONS.items()},
}
CURVES: dict[str, dict[str, Any]] = {
    **{f"length {length}": {"tokens": length} for length in (1, 5, 10, 50)},
    **{f"depth {depth} from the bottom": {"depth": depth} for depth in (1, 4, 8)},
    **{f"depth {depth} from the top": {"depth": depth, "depth_from": "top"} for depth in (4, 8)},
    "shallow, prepend": {"method": "vpt-shallow"},
    "shallow, add": {"method": "vpt-shallow", "location": "add", "tokens": None},
    "shallow, add-one": {"method": "vpt-shallow", "location": "add-one", "tokens": None},
    "shallow, prepend-pixel": {"method": "vpt-shallow", "location": "prepend-pixel"},
    "shallow, concat-channel": {"method": "vpt-shallow", "location": "concat-channel", "tokens": None},
}
"""One curve each for length, depth and location, on one data set, one seed, AdamW, all with the same rate."""
SA2VP_CURVES: dict[str, dict[str, Any]] = {
    **{f"window {window}": {"window": window} for window in (1, 3, 5)},
    **{f"lambda {balance}": {"balance": balance} for balance in (0.5, 0.9)},
    **{f"gamma {gamma}": {"gamma": gamma} for gamma in (0.5, 1.5)},
    **{f"t {bottleneck}": {"bottleneck": bottleneck} for bottleneck in (8, 64)},
    "half the map": {"map_scale": 2},
}
"""The same for SA²VP's own choices."""
CURVES |= {name: {"method": "sa2vp-deep", "tokens": None, **values} for name, values in SA2VP_CURVES.items()}
CURVE_DATA = "cifar10"


@cache
def backbone(shared: Path) -> Any:
    """The real ViT-Ti/16 for images of 96x96."""
    net = timm.create_model("vit_tiny_patch16_224", img_size=SIDE)
    tensors = timm.models.vision_transformer.checkpoint_filter_fn(
        load_file(shared / "weights" / "vit_tiny_patch16_224.safetensors"), net
    )
    net.load_state_dict(tensors)
    name = f"vit-tiny at {SIDE}x{SIDE}"
    return pixprompt.as_model(net.eval(), image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, name=name)


@cache
def thousand(shared: Path, name: str) -> Data:
    """800 training, 200 validation and up to 500 test images, balanced, the same for every method and seed."""
    whole = load_data("digits" if name == "digits" else f"folder:{shared / 'data' / name}", seed=0)
    pool = join([whole.train, whole.val])
    chosen = _balanced(pool.labels, 1000, len(whole.classes))
    tested = _balanced(whole.test.labels, min(500, len(whole.test)), len(whole.classes))
    return replace(
        whole,
        name=name,
        train=pool.subset(chosen[:800]),
        val=pool.subset(chosen[800:]),
        test=whole.test.subset(tested),
        seed=None,
    )


def _balanced(labels: np.ndarray, count: int, num_classes: int) -> list[int]:
    rng = np.random.default_rng(0)
    by_class = [list(rng.permutation(np.flatnonzero(labels == label))) for label in range(num_classes)]
    order = [int(indices[turn]) for turn in range(max(map(len, by_class))) for indices in by_class
             if turn < len(indices)]  # fmt: skip
    return order[:count]


class Bench:
    """One method on one data set."""

    def __init__(self, shared: Path, data: str, values: dict[str, Any]) -> None:
        options = {"method": "vpt-deep", "tokens": 10, "optimizer": None, **values}
        self.method: str = options.pop("method")
        self.optimizer: str = options.pop("optimizer") or KNOWN[self.method].defaults["optimizer"]
        self.options = {name: value for name, value in options.items() if value is not None}
        self.model, images = backbone(shared), thousand(shared, data)
        canvas, self.classes = pixprompt.Canvas.for_model(self.model.spec), images.classes
        self.train, self.val, self.test = (
            pixprompt.CanvasDataset(split, canvas, workers=2) for split in (images.train, images.val, images.test)
        )

    def once(self, rate: float, epochs: int, seed: int) -> dict[str, Any]:
        """Trains once; returns the validated and the tested accuracy."""
        generator = torch.Generator().manual_seed(seed)
        adapter = make_white_box(self.method, self.model, self.classes, generator=generator, **self.options)
        began, busy = time.perf_counter(), time.process_time()
        fit_result = pixprompt.fit(
            adapter, self.train, self.val, epochs=epochs, optimizer=self.optimizer, lr=rate,
            warmup=KNOWN[self.method].defaults["warmup"], batch_size=BATCH, seed=seed,
        )  # fmt: skip
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        tested = self.test.canvases
        return {
            "lr": rate,
            "epochs": epochs,
            "optimizer": self.optimizer,
            "seed": seed,
            "val": fit_result.best.scores["val_accuracy"] if fit_result.best else None,
            "best_epoch": fit_result.best.epoch if fit_result.best else None,
            "test": pixprompt.evaluate(adapter, tested.pixels[:], tested.labels),
            "tuned": adapter.num_tuned,
            "share": adapter.share,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(busy, 1),
        }


def compare(shared: Path, method: str, data: str, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Chooses a rate where none is known, then trains the seeds that are not done."""
    pilot, epochs = KEPT.get(method, PILOT), KEPT.get(method, EPOCHS)
    bench = Bench(shared, data, {"tokens": None, "method": method, **METHODS[method]})
    own = [row for row in lines if (row["name"], row["data"]) == (method, data)]
    ablated = method.startswith(f"{WHOLE}, ")
    whole = WHOLE if ablated else method
    like = own or [row for row in lines if (row["name"], row["data"]) == (whole, DATA[0]) and method not in KEPT]
    if ablated and not like:
        raise SystemExit(f"{method} takes the rate of {WHOLE} on {DATA[0]}, which has not run yet.")
    tried = like[0]["pilots"] if like else []
    if not tried:
        trials = [bench.once(rate, pilot, 0) for rate in RATES.get(method, BY_ADAMW)]
        tried = [[trial["lr"], trial["val"]] for trial in trials]
    best = max(tried, key=lambda pair: (pair[1], -pair[0]))[0]
    for seed in SEEDS:
        if seed not in [row["seed"] for row in own]:
            yield bench.once(best, epochs, seed) | {"pilots": tried, "pilots_on": like[0]["data"] if like else data}


def curve(shared: Path, name: str, rate: float) -> Iterator[dict[str, Any]]:
    """One point of a curve, one seed."""
    yield Bench(shared, CURVE_DATA, {"optimizer": "adamw", **CURVES[name]}).once(rate, EPOCHS, 0)


def main() -> None:
    """Runs what is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--only", default="")
    parser.add_argument("--curves", type=float, help="learning rate: draw the curves instead")
    options = parser.parse_args()
    index, count = map(int, options.part.split("/"))
    path = HERE / f"results{f'-{index}' if count > 1 else ''}.jsonl"
    jobs = [(method, data) for data in DATA for method in METHODS]
    if options.curves:
        jobs = [(name, CURVE_DATA) for name in CURVES]
    for name, data in [job for number, job in enumerate(jobs) if number % count == index]:
        lines = [json.loads(line) for file in HERE.glob("results*.jsonl") for line in file.read_text().splitlines()]
        rows = sum((row["name"], row["data"]) == (name, data) for row in lines)
        if rows >= (1 if options.curves else len(SEEDS)) or options.only not in f"{name} {data}":
            continue
        result = (
            curve(options.shared, name, options.curves)
            if options.curves
            else compare(options.shared, name, data, lines)
        )
        for row in result:
            line = {"name": name, "data": data, **row, "machine": machine()}
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(name, data, row["lr"], row["val"], row["test"], row["seconds"], flush=True)


if __name__ == "__main__":
    main()
