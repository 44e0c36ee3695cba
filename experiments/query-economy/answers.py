"""Answers of real models to the same images under every view, asked once and kept as files.

The models answer with scores of all their classes; what a caller would see of them (all probabilities, the five best,
a bare label) is taken from that afterwards, so that a whole race is played in seconds. The ImageNet classifiers take
images of 112x112 here and are four times as fast as at 224; the small CLIP takes 224, and its image embeddings are
kept, from which the shares of any labels follow.

python experiments/query-economy/answers.py ../shared STORE [--models A,B] [--data A,B] [--views N] [--side 112]
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pixprompt import Canvas, load_model
from pixprompt.prompt import Prompt
from pixprompt.views import View, catalogue

WEIGHTS = {
    "mobilenet-v2": ("torchvision:mobilenet_v2/IMAGENET1K_V1", "mobilenet_v2.safetensors"),
    "resnet18": ("torchvision:resnet18", "resnet18.safetensors"),
    "efficientnet-lite0": ("efficientnet-lite0", None),
    "mini-clip": ("open_clip:local-dir:{}/mini-clip-vit-ti16", None),
}
DATA = ("digits", "cifar10", "flowers5", "fashion-mnist")
NUM_IMAGES = 1500
_SKIPPED = 1000
"""CIFAR-10 images at the front that were looked at when the method was tuned; they take no part."""
_BATCH = 50
_FASHION = Path("usr/share/datasets/fashion-mnist")


def images(name: str, assets: Path, fashion: Path) -> tuple[list[Image.Image], npt.NDArray[np.int64]]:
    """Returns 1,500 images, as many of each class as there are, and their labels."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = [Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)) for image in digits.images]
        labels = digits.target.astype(np.int64)
    elif name == "fashion-mnist":
        raw = [
            gzip.decompress((fashion / f"train-{part}-ubyte.gz").read_bytes())
            for part in ("images-idx3", "labels-idx1")
        ]
        labels = np.frombuffer(raw[1], np.uint8, offset=8)[:20_000].astype(np.int64)
        pixels = [
            Image.fromarray(each) for each in np.frombuffer(raw[0], np.uint8, offset=16).reshape(-1, 28, 28)[:20_000]
        ]
    else:
        folder = assets / "data" / name / "train"
        files = [
            (path, label) for label, each in enumerate(sorted(folder.iterdir())) for path in sorted(each.iterdir())
        ]
        labels = np.array([label for _, label in files])
        pixels = [Image.open(path) for path, _ in files] if name == "flowers5" else [path for path, _ in files]
    per_class = NUM_IMAGES // (labels.max() + 1)
    skipped = _SKIPPED // 10 if name == "cifar10" else 0
    chosen = np.concatenate([np.flatnonzero(labels == k)[skipped:][:per_class] for k in range(labels.max() + 1)])
    opened = [
        pixels[place] if isinstance(pixels[place], Image.Image) else Image.open(pixels[place]) for place in chosen
    ]
    return [image.convert("RGB") for image in opened], labels[chosen]


def fill(model_name: str, data: str, views: list[View], store: Path, assets: Path, fashion: Path, side: int) -> None:
    """Asks a model about all images under the views that are not in the store yet."""
    folder = store / f"{model_name}-{side}-{data}"
    folder.mkdir(parents=True, exist_ok=True)
    left = [view for view in views if not (folder / f"{view.name}.npy").exists()]
    if not left:
        return
    pictures, labels = images(data, assets, fashion)
    np.save(folder / "labels.npy", labels)
    name, file = WEIGHTS[model_name]
    weights = assets / "weights"
    model = load_model(name.format(weights), weights=weights / file if file else None)
    base = Canvas((side, side), resample=model.spec.resample, crop_pct=model.spec.crop_pct)
    for view in left:
        ask(model, view.prompt(base), pictures, folder / f"{view.name}.npy")


def ask(model: Any, prompt: Prompt, pictures: list[Image.Image], path: Path) -> None:
    """Writes a model's answers to all images under a prompt."""
    began, rows = time.time(), []
    model.net.to(memory_format=torch.channels_last)
    for start in range(0, len(pictures), _BATCH):
        pixels = np.stack([np.asarray(prompt.apply(image)) for image in pictures[start : start + _BATCH]])
        inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        half = "mini-clip" not in path.parent.name
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            rows.append(model.answer(model.normalize(inputs)).float())
    np.save(path.with_suffix(".part.npy"), torch.cat(rows).numpy())
    os.rename(path.with_suffix(".part.npy"), path)
    print(path.parent.name, path.stem, f"{len(pictures) / (time.time() - began):.0f} images/s", flush=True)


def main() -> None:
    """Fills the store, the plain view of every pair first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--models", default=",".join(WEIGHTS))
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--fashion", type=Path, default=Path("/") / _FASHION)
    options = parser.parse_args()
    torch.set_num_threads(1)
    views = list(catalogue()[: options.views])
    for model in options.models.split(","):
        for data in options.data.split(","):
            side = 224 if model == "mini-clip" else options.side
            fill(model, data, views, options.store, options.assets, options.fashion, side)


if __name__ == "__main__":
    main()
