"""A pixel prompt learned together with a linear head, against the head alone: the same test images, three seeds.

Both heads are ridge regressions on all outputs of the model, fitted to the same training images. Where the result is
"unseen", the prompt learns from heads that have not seen the image; "seen" is the other way. The last epoch counts,
whatever it validates; whether the ladder would keep the prompt is reported beside it. ImageNet classifiers take images
of 112x112 here, to be four times as fast.

python experiments/together/run.py ../shared RESULTS.jsonl --model mobilenet-v2 --data digits [--seeds 0,1,2]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixprompt import Canvas, load_model
from pixprompt.adapters import PixelPrompt
from pixprompt.core import Model
from pixprompt.data.canvases.rows import CanvasRows, CanvasSet
from pixprompt.engine.answers import query_canvases
from pixprompt.engine.config.train_config import TrainConfig
from pixprompt.engine.fit.gradients.epochs import fit
from pixprompt.engine.fit.gradients.gradient import GradientFit
from pixprompt.engine.fit.gradients.inputs import Images
from pixprompt.engine.ladder import is_clearly_better
from pixprompt.engine.progress.report import Silent
from pixprompt.models import DirectQuerier
from pixprompt.outputs import make_output
from pixprompt.study import machine
from pixprompt.templates import Add, make_template

sys.path.insert(0, str(Path(__file__).parents[1] / "query-economy"))
import answers

NUM_TRAIN, NUM_VAL = 1000, 250
answers.NUM_IMAGES = 2500
FASHION = Path("/usr/share/datasets/fashion-mnist")


def small_model(name: str, assets: Path, side: int) -> Model:
    """Loads a model that takes images of side x side."""
    source, file = answers.WEIGHTS[name]
    weights = assets / "weights"
    model = load_model(source.format(weights), weights=weights / file if file else None)
    model.spec = replace(model.spec, image_size=(side, side))
    return model


def split(data: str, canvas: Canvas, assets: Path, fashion: Path, seed: int) -> tuple[list[CanvasSet], tuple[str, ...]]:
    """Draws training, validation and test images; all that are left are for the test."""
    pictures, labels = answers.images(data, assets, fashion)
    pixels = np.stack([canvas.make(picture) for picture in pictures])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).numpy()
    parts = np.split(order, [NUM_TRAIN, NUM_TRAIN + NUM_VAL])
    sets = [
        CanvasSet(
            CanvasRows([pixels], np.stack([np.zeros_like(part), part], 1), pixels.shape[1:]),
            labels[part],
            tuple(map(str, part)),
            (),
        )
        for part in parts
    ]
    return sets, tuple(map(str, range(int(labels.max()) + 1)))


def run(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Learns once and counts the test images that both, one or none of the two read right."""
    model = small_model(options.model, options.assets, options.side)
    canvas = Canvas.for_model(model.spec)
    (train, val, test), classes = split(options.data, canvas, options.assets, options.fashion, seed)
    counted, began = DirectQuerier(model), time.perf_counter()
    alone = make_output("ridge", classes=classes, spec=model.spec)
    plain = [query_canvases(counted, each, device="cpu") for each in (train, val, test)]
    alone = alone.refit(plain[0].outputs, plain[0].labels)
    template = make_template(
        options.template, canvas_size=canvas.size, size=round(30 / 224 * options.side), blend=Add(start="flat")
    )
    adapter = PixelPrompt(template, counted, alone)
    config = TrainConfig(
        optimizer="adam", lr=options.lr, epochs=options.epochs, batch_size=options.batch, warmup=0, seed=seed
    )
    bf16 = torch.bfloat16 if options.bf16 else None
    work = GradientFit.of(config, adapter, Images(adapter, train, "cpu"), Images(adapter, val, "cpu"), Silent(),
                          device="cpu", autocast=bf16, answers=None if options.seen else plain[0])  # fmt: skip
    state = fit(work, epochs=options.epochs, on_epoch=lambda state: print(state.history[-1], flush=True))
    prompted = [query_canvases(adapter.outputs, each, device="cpu") for each in (val, test)]
    right = [
        (output(each.outputs).argmax(1) == each.labels).numpy()
        for output, each in ((alone, plain[2]), (adapter.output, prompted[1]))
    ]
    return {
        "seed": seed,
        "head": float(right[0].mean()),
        "together": float(right[1].mean()),
        "gained": int((right[1] & ~right[0]).sum()),
        "lost": int((right[0] & ~right[1]).sum()),
        "both": int((right[0] & right[1]).sum()),
        "test": len(right[0]),
        "kept": is_clearly_better(adapter.output, prompted[0], alone, plain[1]),
        "history": state.history,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
    }


def main() -> None:
    """Runs every seed that is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", default="mobilenet-v2")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--template", default="full")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--seen", action="store_true", help="the prompt learns from the head that has seen the images")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--fashion", type=Path, default=FASHION)
    options = parser.parse_args()
    named = {
        name: value for name, value in vars(options).items() if name not in ("assets", "results", "seeds", "fashion")
    }
    lines = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    for seed in map(int, options.seeds.split(",")):
        if any(line["seed"] == seed and line["settings"] == named for line in lines):
            continue
        line = {"settings": named, **run(options, seed)}
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print({name: line[name] for name in ("seed", "head", "together", "gained", "lost", "kept")}, named, flush=True)


if __name__ == "__main__":
    main()
