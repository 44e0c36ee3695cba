"""Test accuracy by queries: real models made opaque, learned from their answers alone, method against method.

Answers come from the store that `answers.py` fills, so a race asks what it would ask of the model and is over in
seconds. Each seed draws 1,000 labelled images and tests on the other 500; queries for the test are not counted. All
methods read the answers with the ridge readout of the race.

python experiments/query-economy/run.py STORE ../shared [--budgets 1000,5000] [--seeds 0,1,2] [--data digits,together]
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixprompt import load_model
from pixprompt.search import (
    COMMON_NOUNS,
    AnswerPool,
    Race,
    kernel_of,
    leave_one_out,
    predict,
    widened_labels,
)
from pixprompt.views import catalogue

HERE = Path(__file__).parent
CLASSIFIERS = ("mobilenet-v2", "resnet18", "efficientnet-lite0")
DATA = ("digits", "cifar10", "flowers5", "fashion-mnist")
TOGETHER = "together"
"""All four data sets as one of 35 classes."""
ANSWERS = ("all", "top-5", "label")
BUDGETS = (25, 200, 1000, 5000, 20_000)
NUM_TRAIN, NUM_TEST, NUM_VIEWS = 1000, 500, 16
PREDICTIONS = 1000
"""For which the default weighs the price of a committee."""
FLOOR = 1e-6
WORDS = {
    "digits": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "flowers5": ["daisy", "dandelion", "rose", "sunflower", "tulip"],
}


def visible(shares: Tensor, answer: str) -> Tensor:
    """Returns what a caller reads of the shares of all classes (N, S)."""
    if answer == "all":
        return shares.clamp_min(FLOOR).log()
    values, indices = shares.topk(5 if answer == "top-5" else 1, dim=1)
    if answer == "label":
        return torch.zeros_like(shares).scatter(1, indices, 1.0)
    silent = ((1 - values.sum(1, keepdim=True)) / (shares.shape[1] - 5)).clamp_min(FLOOR)
    return torch.minimum(silent, values[:, -1:]).expand_as(shares).scatter(1, indices, values).log()


@lru_cache(maxsize=1)
def answers(store: Path, model: str, data: str, answer: str) -> tuple[list[Tensor], Tensor]:
    """Returns the answers of a classifier under each view, and the labels; of all data sets where data is TOGETHER."""
    folders = [store / f"{model}-112-{each}" for each in (DATA if data == TOGETHER else (data,))]
    labels = [torch.from_numpy(np.load(folder / "labels.npy")) for folder in folders]
    first = itertools.accumulate((int(each.max()) + 1 for each in labels), initial=0)
    views = [
        torch.cat([torch.from_numpy(np.load(folder / f"{view.name}.npy")) for folder in folders])
        for view in catalogue()[:NUM_VIEWS]
    ]
    return [visible(view.softmax(1), answer) for view in views], torch.cat(
        [each + start for each, start in zip(labels, first, strict=False)]
    )


def drawn(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Returns the images to learn from, the classes as even as they can be at every beginning, and those to test on."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    test, train = order[:NUM_TEST], order[NUM_TEST : NUM_TEST + NUM_TRAIN]
    rank = torch.zeros(len(train), dtype=torch.int64)
    for label in labels.unique():
        own = labels[train] == label
        rank[own] = torch.arange(int(own.sum()))
    return train[torch.sort(rank, stable=True).indices], test


def accuracy(views: list[Tensor], labels: Tensor, train: Tensor, test: Tensor) -> float:
    """Returns the share of test images that a readout of the answers side by side reads right."""
    both, num_classes = torch.cat([train, test]), int(labels.max()) + 1
    kernel = kernel_of(*(view[both] for view in views))
    own, last = torch.arange(len(train)), torch.arange(len(train), len(both))
    strength = leave_one_out(kernel[: len(train), : len(train)], labels[train], num_classes).strength
    logits = predict(kernel, labels[both], num_classes, train=own, held_out=last, strength=strength)
    return float((logits.argmax(1) == labels[test]).double().mean())


Played = tuple[float, int, int]
"""Test accuracy, queries per prediction, and images that the readout has read."""
Method = Callable[[list[Tensor], Tensor, int, int, str], Played]


def race(size: int | None, predictions: int = PREDICTIONS) -> Method:
    """The race of the package, with a committee of a fixed size or one of its own choice."""

    def play(views: list[Tensor], labels: Tensor, budget: int, seed: int, answer: str) -> Played:
        train, test = drawn(labels, seed)
        num_classes = int(labels.max()) + 1
        pool = AnswerPool(lambda view, chosen: views[view][chosen], train, labels[train], lambda each: each, budget)
        rich, labels_only = answer == "all", answer == "label"
        rules = Race(len(views), num_classes, predictions, size=size, rich=rich, labels_only=labels_only)
        winner = rules.run(pool, first=min(budget, 3 * num_classes))
        chosen = [views[view] for view in winner.views]
        return accuracy(chosen, labels, train[: winner.num_images], test), len(chosen), winner.num_images

    return play


def first_views(count: int) -> Method:
    """The first views of the catalogue, without a race."""

    def play(views: list[Tensor], labels: Tensor, budget: int, seed: int, answer: str) -> Played:
        train, test = drawn(labels, seed)
        images = min(len(train), budget // count)
        return accuracy(views[:count], labels, train[:images], test), count, images

    return play


METHODS: dict[str, Method] = {
    "head alone": first_views(1),
    "default": race(None),
    "default, price ignored": race(None, predictions=0),
    "one view": race(1),
    "first 3 views": first_views(3),
    "first 8 views": first_views(8),
    "default, surrogate": race(None),
}


@lru_cache(maxsize=4)
def zero_shot(store: Path, assets: Path, data: str, words: int) -> tuple[list[Tensor], Tensor]:
    """Returns log-shares of the class names and of further words, as a zero-shot endpoint answers, and the labels."""
    folder = store / f"mini-clip-224-{data}"
    model = load_model(f"open_clip:local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}")
    names = widened_labels(WORDS[data], COMMON_NOUNS[:words])
    texts = model.encode_text([f"This is a photo of a {name}" for name in names])
    shares = (model.logit_scale * torch.from_numpy(np.load(folder / "plain.npy")) @ texts.T).softmax(1)
    return [visible(shares, "all").detach()], torch.from_numpy(np.load(folder / "labels.npy"))


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every run: a whole seed first, its small budgets first."""
    for seed, budget in itertools.product(options.seeds, options.budgets):
        for model, data, answer in itertools.product(options.models, options.data, options.answers):
            for method in options.methods:
                yield {"model": model, "data": data, "answer": answer, "budget": budget, "seed": seed, "method": method}
        for data, method in itertools.product(
            [each for each in WORDS if each in options.data], ("head alone", "default")
        ):
            yield {
                "model": "mini-clip",
                "data": data,
                "answer": "zero-shot",
                "budget": budget,
                "seed": seed,
                "method": method,
            }


def run(row: dict[str, Any], store: Path, assets: Path) -> dict[str, Any] | None:
    """One run; None where the store has no answers for it."""
    if row["model"] == "mini-clip":
        if not (store / f"mini-clip-224-{row['data']}" / "plain.npy").exists():
            return None
        words = len(COMMON_NOUNS) if row["method"] == "default" else 0
        views, labels = zero_shot(store, assets, row["data"], words)
        method = METHODS["head alone"]
    else:
        views, labels = answers(store, row["model"], row["data"], row["answer"])
        method = METHODS[row["method"]]
        if row["method"] == "default, surrogate":  # one more view, see learned.py
            path = store / f"{row['model']}-112-{row['data']}" / f"surrogate resize {row['seed']}.npy"
            if not path.exists():
                return None
            views = [views[0], visible(torch.from_numpy(np.load(path)).softmax(1), row["answer"]), *views[1:]]
    began = time.perf_counter()
    score, price, images = method(views, labels, row["budget"], row["seed"], row["answer"])
    seconds = round(time.perf_counter() - began, 2)
    return {**row, "accuracy": score, "queries_per_prediction": price, "images": images, "seconds": seconds}


def main() -> None:
    """Plays what is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--budgets", type=lambda text: [int(each) for each in text.split(",")], default=list(BUDGETS))
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--methods", type=lambda text: text.split(";"), default=list(METHODS))
    for name, values in (("models", CLASSIFIERS), ("data", DATA), ("answers", ANSWERS)):
        parser.add_argument(f"--{name}", type=lambda text: text.split(","), default=values)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "results.jsonl"
    names = ("model", "data", "answer", "budget", "seed", "method")
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished_cells = {tuple(line[name] for name in names) for line in lines}
    for row in rows(options):
        if tuple(row.values()) in finished_cells:
            continue
        line = run(row, options.store, options.assets)
        if line is not None:
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
