"""What each benchmark costs at the papers' scale, as the rows of the table in README.md.

Image passes are counted from the official sizes of the data sets: a training step counts as three, a score as one, and
what runs on cached features once per image. They are multiplied by the model's multiply-accumulates per image. One core
did 38 billion a second in experiments/vpt (full tuning, ViT-Ti, one thread). For a GPU 30% of an H200's 395 trillion in
bf16 are assumed; none was at hand.

python experiments/papers/cost.py
"""

from __future__ import annotations

import os

from pixprompt import TrainConfig
from pixprompt.bench import benchmark_names, read_benchmark, runs_of
from pixprompt.core import Access, AnswerKind, ModelSpec
from pixprompt.data import DATASETS
from pixprompt.engine import grids, learns_from_answers, resolve

GIGA_MACS = {
    "clip-vit-b32": 4.4, "open_clip:ViT-B-16-quickgelu/openai": 17.6, "vit-b16-in21k": 17.6, "vit-b16-mae": 17.6,
    "vit-b16-moco-v3": 17.6, "vit-l16-in21k": 61.6, "vit-h14-in21k": 167.0, "swin-b-in22k": 15.5,
    "convnext-b-in22k": 15.4, "rn50": 4.1, "resnet18": 1.8, "instagram-resnext101": 16.5, "bit-m-rn50": 4.2,
}  # fmt: skip
CACHED = ("linear", "mlp", "partial", "tip-adapter", "tip-adapter-f")
CORE, GPU = 38.0, 0.3 * 395_000.0
ADE20K = 20_210


class Stub:
    """As much of a model as its settings need."""

    access = Access.INTERNALS

    def __init__(self, name: str) -> None:
        answer = AnswerKind.EMBEDDINGS if "clip" in name else AnswerKind.LOGITS
        self.spec = ModelSpec(name, (224, 224), 512, answer)

    def __call__(self, images: object, /) -> object:
        """Answers nothing."""
        return images


def sizes(config: TrainConfig) -> tuple[float, float, float]:
    """Images to train, validate and test on."""
    data = DATASETS[config.data.name]
    train, val, test = (float(data.sizes.get(split, 0)) for split in ("train", "val", "test"))
    for missing in (not test, not val):
        if missing:
            train, held_out = 0.8 * train, 0.2 * train
            val, test = (val, held_out) if not test else (held_out, test)
    if config.data.shots:
        train = min(train, config.data.shots * data.num_classes)
        val = min(val, train)
    return train * (config.data.fraction or 1), val, test


def passes(options: dict[str, object]) -> float:
    """Forward passes of a run, a training step as three."""
    config = TrainConfig(**options)
    model = Stub(config.model.name)
    by_answers = learns_from_answers(config, model)
    config = resolve(config, model.spec, by_answers=by_answers)
    if by_answers:
        return float(config.search.budget or 0)
    train, val, test = sizes(config)
    if config.method.name in CACHED:
        return train + val + test
    epochs = config.fit.epochs or 0
    if not config.fit.grid_search:
        return train + val + 3 * test + epochs * (3 * train + val)
    rates, decays = grids(config)
    trials = len(rates) * len(decays)
    return trials * epochs * (3 * train + val) + config.fit.seeds * (3 * epochs * (train + val) + test)


def hours(value: float) -> str:
    """Two digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    print("| benchmark | cells | runs | hours, one core | hours, H200 |\n|---|---|---|---|---|")
    for name in benchmark_names():
        benchmark = read_benchmark(name)
        cells = benchmark.cells()
        runs = {run.key: run for run in runs_of(benchmark, cells, {"assets": os.sep, "lists": os.sep})}
        work = 0.0
        for run in runs.values():
            macs = GIGA_MACS.get(str(run.options.get("model")), 0.0)
            if run.task == "train":
                work += macs * passes(dict(run.options))
            elif run.task == "segment":
                work += macs * 5 * 3 * ADE20K * float(run.options["epochs"])  # crops of 480 pixels and more
        print(f"| {name} | {len(cells)} | {len(runs)} | {hours(work / CORE / 3600)} | {hours(work / GPU / 3600)} |")
