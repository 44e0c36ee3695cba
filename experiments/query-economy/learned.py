"""Pixels that are learned on one model and asked of another: answers to them for `run.py`, method "default, surrogate".

For every seed of `run.py` a frame is learned on ResNet-18, by gradients and on the 1,000 training images alone, around
the shrunk image or on top of the image; then MobileNetV2 is asked about all images under it.

python experiments/query-economy/learned.py ../shared STORE [--data digits,cifar10] [--seeds 0,1,2] [--epochs 5]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answers import ask, images
from run import drawn

from pixprompt import load_model
from pixprompt.data import Data, from_arrays
from pixprompt.engine import TrainConfig, surrogate_prompt
from pixprompt.prompt import Prompt

FITS, SIZE = ("resize", "shrink"), 15


def learn(config: TrainConfig, model: Any, pixels: Any, labels: torch.Tensor, train: torch.Tensor) -> Prompt:
    """Learns a frame on the surrogate of the configuration."""
    classes = tuple(str(each) for each in range(int(labels.max()) + 1))
    own = from_arrays(pixels[train.numpy()], labels[train].numpy(), prefix="train")
    none = own.subset([])
    return surrogate_prompt(config, model=model, data=Data("stored", classes, own, none, none))


def main() -> None:
    """Learns and asks what is not in the store yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--data", default="digits,cifar10")
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--fits", default=",".join(FITS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = options.assets / "weights"
    model = load_model("torchvision:mobilenet_v2/IMAGENET1K_V1@112", weights=weights / "mobilenet_v2.safetensors")
    for data in options.data.split(","):
        pictures, truth = images(data, options.assets, Path("/usr/share/datasets/fashion-mnist"))
        pixels, labels = np.stack([np.asarray(picture) for picture in pictures]), torch.from_numpy(truth)
        for seed in options.seeds:
            for fit in options.fits.split(","):
                path = options.store / f"mobilenet-v2-112-{data}" / f"surrogate {fit} {seed}.npy"
                if path.exists():
                    continue
                config = TrainConfig(
                    budget=5000,
                    surrogate="torchvision:resnet18@112",
                    surrogate_weights=str(weights / "resnet18.safetensors"),
                    epochs=options.epochs,
                    size=SIZE,
                    fit=fit,
                    seed=seed,
                )
                prompt = learn(config, model, pixels, labels, drawn(labels, seed)[0])
                prompt.save(path.with_suffix(".png"))
                ask(model, prompt, pictures, path)


if __name__ == "__main__":
    main()
