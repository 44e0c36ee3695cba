"""A task of three kinds of noisy 16x16 pictures on disk, and a module of tiny models beside them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("green", "red", "striped")
COUNTS = {"train": 24, "val": 15, "test": 18}
OPTIONS = (
    *("--size", "4", "--epochs", "3", "--batch-size", "8", "--warmup", "2", "--precision", "fp32", "--device", "cpu"),
    *("--optimizer", "adam", "--lr", "0.05", "--blend", "add", "--fit", "resize", "--output", "iterative"),
)
"""A whole recipe, so that another default does not change what these tests see."""

_MODELS = """
import os
import torch
from torch import nn

generator = torch.Generator().manual_seed(7)
net = nn.Sequential(
    nn.Conv2d(3, 8, 4, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 6)
)
with torch.no_grad():
    for tensor in net.parameters():
        tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator))
wide = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
narrow = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
seen = []
calls = [0]

def recorded(images):
    seen.append(images.detach().clone())
    return net(images)

def scores(images):
    return torch.from_numpy(net(images).detach().numpy())

def always_nan(images):
    return net(images) * float("nan")

def later_nan(images):
    calls[0] += 1
    return net(images) * (float("nan") if calls[0] > 9 else 1.0)

def flat(images):
    return net(images).flatten()

def changing(images):
    calls[0] += 1
    return net(images)[:, : 6 if calls[0] == 1 else 5]

def equal(images):
    return net(images) * 0

number = 3
"""


@dataclass(frozen=True)
class Toy:
    """Where the task lies and what to type for it."""

    folder: Path
    module: str
    data: str

    def model(self, name: str = "net", size: int = 16) -> str:
        """What to type after --model for a model of the module."""
        return f"python:{self.module}:{name}@{size}"

    def train(self, out: str | Path = "run", *options: str, model: str = "net") -> list[str]:
        """The arguments of a quick run."""
        return ["train", "--model", self.model(model), "--data", self.data, *OPTIONS, "--out", str(out), *options]

    def images(self, split: str) -> list[Path]:
        """The image files of a split, in the order in which they are read."""
        return sorted((self.folder / "images" / split).rglob("*.png"))


def write_toy(folder: Path) -> Toy:
    """Writes models and images; the module's name is the folder's own, so that no other test has imported it."""
    module = "toy_" + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    (folder / f"{module}.py").write_text(_MODELS)
    for seed, (split, count) in enumerate(COUNTS.items()):
        write_pictures(folder / "images" / split, count, seed)
    return Toy(folder, module, f"folder:{folder / 'images'}")


def write_pictures(folder: Path, count: int, seed: int, size: int = 16) -> None:
    """Writes `count` pictures into one folder per class."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        label = index % 3
        pixels = rng.integers(0, 120, (size, size, 3))
        if label == 2:
            pixels[::2] += 60
        else:
            pixels[..., 1 - label] += 60
        path = folder / CLASSES[label] / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def start(arguments: list[str], folder: Path, *, before: str = "") -> subprocess.Popen[str]:
    """Starts the command line in a process of its own, with one thread; `before` is code to run first."""
    code = f"{before}\nimport sys, torch; torch.set_num_threads(1)\nfrom pixprompt.cli import main; sys.exit(main())"
    package = str(Path(__file__).parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": package}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
