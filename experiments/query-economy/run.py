"""Test accuracy by queries: real models made opaque, learned from their answers alone, method against method.

The models answer with probabilities only. The ImageNet classifiers take images of 112x112 here and are four times
as fast as at 224 (the images are 32x32 and 8x8 to begin with); the small CLIP takes 224 and answers as a zero-shot
endpoint would, with the shares of the class texts. Queries for the final test are not counted: every run may ask
`budget` queries to learn, and is then scored on all test images.

python experiments/query-economy/run.py ../shared [--part 0/2] [--only TEXT]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import machine, write_csv

from pixprompt.core import Access, AnswerKind, Model
from pixprompt.data import Data, load_data
from pixprompt.engine import TrainConfig, plan, train
from pixprompt.engine.parts import build
from pixprompt.ledger import Budget, Ledger, LocalJournal
from pixprompt.models import load_model
from pixprompt.outputs import texts_for, words_for

HERE = Path(__file__).parent
SIDE = 112
PAIRS = (
    ("mobilenet-v2", "cifar10"),
    ("mobilenet-v2", "digits"),
    ("resnet18", "cifar10"),
    ("resnet18", "digits"),
    ("mini-clip", "digits"),
    ("mini-clip", "flowers5"),
)
SURROGATE = {"mobilenet-v2": "resnet18", "resnet18": "mobilenet-v2", "mini-clip": "resnet18"}
NAMES = {"mobilenet-v2": "torchvision:mobilenet_v2/IMAGENET1K_V1", "resnet18": "torchvision:resnet18"}
FILES = {"mobilenet-v2": "mobilenet_v2.safetensors", "resnet18": "resnet18.safetensors"}
SMALL = {"population": 2, "sigma": 0.02, "lr": 0.02}
MAPPED = {"output": "frequency", "head_images": 100}
"""The published methods read the answers by a fixed label mapping; 100 labelled images are enough for one."""
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "no prompt": {"method": "none"},
    "no prompt, mapping": {"method": "none", **MAPPED},
    "spsa, blocks": {"optimizer": "spsa", "basis": "blocks", **SMALL},
    "spsa, pixels": {"optimizer": "spsa", "basis": "pixels", **SMALL},
    "spsa-gc, dct": {"optimizer": "spsa-gc", **SMALL, "lr": 0.01},
    "bar, dct": {"optimizer": "bar", **SMALL},
    "nes, dct": {"optimizer": "nes", **SMALL},
    "cma, dct": {"optimizer": "cma", "sigma": 0.02},
    "sep-cma, dct": {"optimizer": "sep-cma", "sigma": 0.02},
    "VP, spsa-gc in pixels": {"optimizer": "spsa-gc", "basis": "pixels", "fit": "resize", "start": "flat", **MAPPED},
    "BAR": {"method": "bar", **MAPPED},
    "BlackVIP": {"method": "blackvip", **MAPPED},
    "surrogate first": {"surrogate": True},
}
PUBLISHED = ("VP, spsa-gc in pixels", "BAR", "BlackVIP")
FIRST = ("default", "no prompt", "no prompt, mapping")


class Opaque:
    """A local model that gives nothing but the shares of its classes, for images of any size one chooses."""

    access = Access.SCORES

    def __init__(
        self, model: Model, side: int, answer: str, texts: torch.Tensor | None, labels: tuple[str, ...]
    ) -> None:
        self.model, self.texts, self.answer = model, texts, answer
        kind = {"all": AnswerKind.PROBABILITIES, "top-5": AnswerKind.TOP_K, "label": AnswerKind.LABEL}[answer]
        self.spec = replace(
            model.spec, image_size=(side, side), num_outputs=len(labels), labels=labels, answer=kind,
            name=f"{model.spec.name}, {answer}",
        )  # fmt: skip

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, /) -> torch.Tensor:
        """Returns shares (N, S)."""
        outputs = self.model.answer(self.model.normalize(images))  # type: ignore[attr-defined]
        shares = (outputs if self.texts is None else self.model.logit_scale * outputs @ self.texts.T).softmax(1)  # type: ignore[attr-defined]
        if self.answer == "all":
            return shares
        count = 5 if self.answer == "top-5" else 1
        values, indices = shares.topk(min(count, shares.shape[1]), dim=1)
        kept = torch.zeros_like(shares).scatter(1, indices, values)
        return kept if self.answer == "top-5" else (kept > 0).float()


def opaque(name: str, data: Data, assets: Path, answer: str) -> Opaque:
    """Loads a model and closes its inside."""
    if name == "mini-clip":
        model = load_model(f"open_clip:local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}")
        words = words_for(data.name, data.classes, "paper") or data.classes
        template = (texts_for(data.name, "paper") or ("This is a photo of a {}",))[0]
        texts = model.encode_text([template.format(word) for word in words])  # type: ignore[attr-defined]
        return Opaque(model, 224, answer, texts, data.classes)
    model = load_model(NAMES[name], weights=assets / "weights" / FILES[name])
    return Opaque(model, SIDE, answer, None, model.spec.labels or ())


def images(name: str, seed: int, assets: Path, scratch: Path) -> Data:
    """A few hundred labelled images to learn from, and 500 (digits: 359) to test on."""
    if name == "digits":
        return load_data("digits", seed=seed, shots=50)
    path = scratch / f"{name}.csv"
    if not path.exists():
        per_class = {"cifar10": (64, 50), "flowers5": (128, 100)}[name]
        write_csv(assets / "data" / name, path, train=per_class[0], test=per_class[1])
    return load_data(f"csv:{path}", seed=seed)


def rows() -> Iterator[dict[str, Any]]:
    """Every run, the most telling ones first."""

    def row(pair: tuple[str, str], method: str, budget: int, seed: int, answer: str = "all") -> dict[str, Any]:
        return {"model": pair[0], "data": pair[1], "method": method, "budget": budget, "seed": seed, "answer": answer}

    fast = [pair for pair in PAIRS if pair[0] != "mini-clip"]
    slow = [pair for pair in PAIRS if pair[0] == "mini-clip"]
    for seed in range(3):
        yield from (row(pair, method, budget, seed) for budget in (0, 25, 200) for method in FIRST for pair in PAIRS)
        yield from (row(pair, method, 1000, seed) for method in FIRST for pair in PAIRS)
        yield from (row(pair, method, 1000, seed) for method in PUBLISHED for pair in fast)
        yield from (row(pair, method, 5000, seed) for method in FIRST for pair in fast)
    for budget in (25, 200, 1000, 5000):
        yield from (row(pair, "default", budget, 0, answer) for answer in ("top-5", "label") for pair in fast)
    yield from (row(pair, "surrogate first", 5000, 0) for pair in fast)
    yield from (row(pair, "default", 20000, 0) for pair in fast)
    searches = [method for method in METHODS if method not in (*FIRST, *PUBLISHED, "surrogate first")]
    yield from (row(pair, method, 5000, 0) for method in searches for pair in fast)
    for seed in range(3):
        yield from (row(pair, method, 5000, seed) for method in PUBLISHED for pair in fast)
    yield from (row(pair, "default", 5000, 0) for pair in slow)
    yield from (row(pair, method, 1000, 0) for method in PUBLISHED for pair in slow)
    yield from (row(pair, method, 5000, 0) for method in ("surrogate first", *PUBLISHED) for pair in slow)
    yield from (row(pair, method, 20000, 0) for method in PUBLISHED for pair in fast)


def settings(row: dict[str, Any], assets: Path, num_test: int, rungs: int) -> TrainConfig:
    """The configuration of a run; the test is paid for on top of the budget."""
    values = dict(METHODS[row["method"]])
    surrogate = SURROGATE[row["model"]]
    weights = str(assets / "weights" / FILES[surrogate])
    if values.pop("surrogate", False):
        values |= {"surrogate": NAMES[surrogate], "surrogate_weights": weights, "epochs": 3}
    if values.get("method") == "blackvip":
        values |= {"encoder": NAMES[surrogate], "encoder_weights": weights}
    side = SIDE if row["model"] != "mini-clip" else 224
    return TrainConfig(
        **{"size": round(side * 30 / 224), **values},
        seed=row["seed"], budget=row["budget"] + rungs * num_test, test_images=num_test, workers=0, device="cpu",
    )  # fmt: skip


def run(row: dict[str, Any], assets: Path, scratch: Path) -> dict[str, Any]:
    """One run; what other runs have asked of the same model is answered from a file, which saves time only."""
    data = images(row["data"], row["seed"], assets, scratch)
    model = opaque(row["model"], data, assets, row["answer"])
    config = settings(row, assets, len(data.test), 2)
    if plan(build(config, model=model, data=data))["queries"]["search"] == 0:  # then only one rung is tested
        config = settings(row, assets, len(data.test), 1)
    ledger = Ledger(scratch / f"{row['model']}-{row['data']}-{row['answer']}.sqlite")
    with tempfile.TemporaryDirectory() as out, ledger:
        result = train(config, out=out, model=LocalJournal(model, ledger, Budget(None)), data=data).to_json()
        path = Path(out) / "history.jsonl"
        history = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {**row, "machine": machine(), "history": history, "result": result}


def main() -> None:
    """Runs what is missing of a part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assets", type=Path)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--only", default="")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "query-economy")
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    scratch = given.scratch / given.part.replace("/", "-")
    scratch.mkdir(parents=True, exist_ok=True)
    results = HERE / f"results-{part}.jsonl"
    known = [json.loads(line) for path in HERE.glob("results*.jsonl") for line in path.read_text().splitlines()]
    for index, row in enumerate(rows()):
        done = any(all(line[key] == value for key, value in row.items()) for line in known)
        if done or PAIRS.index((row["model"], row["data"])) % parts != part or given.only not in json.dumps(row):
            continue
        began = time.perf_counter()
        line = run(row, given.assets.resolve(), scratch)
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        rungs = line["result"]["accuracy"]
        shown = {name: rung and rung["test"] and round(rung["test"], 3) for name, rung in rungs.items()}
        print(index, row, shown, line["result"]["best"], f"{time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
