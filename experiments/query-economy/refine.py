"""Whether refining a view pays: a Gaussian process over its size, place and colour, on the answers of a real model.

The sixteen views of the catalogue are read on the first `--images` labelled images; then views in a frame of one colour
are proposed one by one, by expected improvement of the leave-one-out loss, and asked about the same images. The best
of the catalogue and the best of all are scored on test, beside the plain view, each with a readout of 1,000 answers.

python experiments/query-economy/refine.py ../shared [--models mobilenet-v2] [--data digits] [--answers all,top-5,label]
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from answers import WEIGHTS, images
from run import HERE, accuracy, drawn, visible
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from pixprompt import Canvas, load_model
from pixprompt.search import kernel_of, leave_one_out
from pixprompt.views import Pattern, View, catalogue

SIDE, NUM_VIEWS, BATCH = 112, 16, 50
LOW, HIGH = np.array([0.2, 0, 0, 0, 0, 0]), np.array([1.0, 1, 1, 255, 255, 255])
Points = npt.NDArray[np.float64]


def to_view(point: Points) -> View:
    """Returns the view of a point: size, x, y, red, green, blue."""
    size, x, y = (round(float(each), 3) for each in point[:3])
    red, green, blue = (round(float(each)) for each in point[3:])
    return View(size=size, x=x, y=y, frame=Pattern((red, green, blue)))


def propose(points: Points, losses: Points, generator: np.random.Generator) -> Points:
    """Returns the point of greatest expected improvement among 800 candidates, half of them near the best."""
    unit, values = (points - LOW) / (HIGH - LOW), (losses - losses.mean()) / losses.std()
    process = GaussianProcessRegressor(Matern(np.full(6, 0.5), nu=2.5) + WhiteKernel(0.01), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(unit, values)
    near = unit[values.argmin()] + generator.normal(0, 0.15, (400, 6))
    candidates = np.concatenate([generator.random((400, 6)), near.clip(0, 1)])
    mean, spread = process.predict(candidates, return_std=True)
    gain = process.predict(unit).min() - mean
    expected = gain * norm.cdf(gain / spread) + spread * norm.pdf(gain / spread)
    return LOW + candidates[expected.argmax()] * (HIGH - LOW)


def measure(model_name: str, data: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Refines for every kind of answer and seed."""
    pictures, truth = images(data, options.assets, options.fashion)
    labels, everything = torch.from_numpy(truth), tuple(range(len(truth)))
    name, file = WEIGHTS[model_name]
    weights = options.assets / "weights"
    model = load_model(name.format(weights), weights=weights / file if file else None)
    base = Canvas((SIDE, SIDE), resample=model.spec.resample, crop_pct=model.spec.crop_pct)

    @cache
    def shares(view: View, chosen: tuple[int, ...]) -> torch.Tensor:
        prompt, rows = view.prompt(base), []
        for start in range(0, len(chosen), BATCH):
            pixels = np.stack([np.asarray(prompt.apply(pictures[each])) for each in chosen[start : start + BATCH]])
            inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                rows.append(model.answer(model.normalize(inputs)).float())
        return torch.cat(rows).softmax(1)

    lines = []
    for answer, seed in ((answer, seed) for answer in options.answers.split(",") for seed in range(options.seeds)):
        train, test = drawn(labels, seed)
        few = train[: options.images]
        own = tuple(few.tolist())
        tried = refine(lambda view: loss_of(shares(view, own), labels[few], answer), options, seed)  # noqa: B023
        row = {"model": model_name, "data": data, "answer": answer, "seed": seed, "images": options.images}
        row["queries"] = options.images * len(tried)
        best = min(list(tried)[:NUM_VIEWS], key=lambda view: tried[view])
        refined = min(tried, key=lambda view: tried[view])
        for kind, view in (("plain", View()), ("catalogue", best), ("refined", refined)):
            score = accuracy([visible(shares(view, everything), answer)], labels, train, test)
            row[kind] = {"view": view.name, "loss": round(tried[view], 4), "accuracy": round(score, 3)}
        lines.append(row)
        print(json.dumps(row), flush=True)
    return lines


def loss_of(shares: torch.Tensor, labels: torch.Tensor, answer: str) -> float:
    """Returns the loss of a readout of answers (N, S), each image left out in turn."""
    return leave_one_out(kernel_of(visible(shares, answer)), labels, int(labels.max()) + 1).loss


def refine(loss: Callable[[View], float], options: argparse.Namespace, seed: int) -> dict[View, float]:
    """Returns the loss of every view that was tried, those of the catalogue first."""
    tried = {view: loss(view) for view in catalogue()[:NUM_VIEWS]}
    points = np.array([[view.size, view.x, view.y, *view.frame.color] for view in tried if view.frame])
    losses, generator = np.array([tried[view] for view in tried if view.frame]), np.random.default_rng(seed)
    for _ in range(options.proposals):
        point = propose(points, losses, generator)
        tried[to_view(point)] = loss(to_view(point))
        points, losses = np.vstack([points, point]), np.append(losses, tried[to_view(point)])
    return tried


def main() -> None:
    """Writes refine.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--models", default="mobilenet-v2")
    parser.add_argument("--data", default="digits,cifar10")
    parser.add_argument("--answers", default="all,top-5,label")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--proposals", type=int, default=16)
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for model in options.models.split(","):
        for data in options.data.split(","):
            with (HERE / "refine.jsonl").open("a") as file:
                file.writelines(f"{json.dumps(line)}\n" for line in measure(model, data, options))


if __name__ == "__main__":
    main()
