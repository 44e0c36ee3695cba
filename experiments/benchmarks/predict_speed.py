"""`pixprompt predict` on a local model against its floor: the images decoded and resized by Pillow, and the bare model.

    python experiments/benchmarks/predict_speed.py FOLDER [--model efficientnet-lite0] [--count 64] [--rounds 5]

Prints one JSON line, see `paired.py`: CPU seconds of the floor for all images, and the ratio to it of `predict`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from apply_speed import SIZE, make_prompt
from paired import ratios
from PIL import Image

import pixprompt
from pixprompt.cli import keep_freed_memory
from pixprompt.engine import deploy, predict
from pixprompt.outputs import make_output
from pixprompt.prompt import load_committee

BATCH = 16


def canvas(file: Path) -> np.ndarray:
    """The middle of an image, as the model takes it."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    scale = SIZE / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    return np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    keep_freed_memory()
    files = sorted(path for path in chosen.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = files[: chosen.count]
    model = pixprompt.load_model(chosen.model)
    with tempfile.TemporaryDirectory() as name:
        make_prompt(Path(name, "p.png"))
        prompt = load_committee(Path(name, "p.png"))
    output = make_output("first-k", classes=("a", "b"), spec=model.spec).to_json()
    deployed = deploy(replace(prompt, output=output), model=model, device="cpu")

    @torch.no_grad()
    def floor() -> None:
        for start in range(0, len(files), BATCH):
            canvases = np.stack([canvas(file) for file in files[start : start + BATCH]])
            model(torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255)

    runs = {"floor": floor, "predict": lambda: list(predict(deployed, list(map(str, files))))}
    settings = {"benchmark": "predict_speed", "model": chosen.model, "images": len(files)}
    print(json.dumps({**settings, "threads": torch.get_num_threads(), **ratios(runs, chosen.rounds)}))


if __name__ == "__main__":
    main()
