"""The data side of a training step from the second epoch on: decoded canvases as batches of images.

    python experiments/benchmarks/data_side.py [--model efficientnet-lite0] [--batch 8] [--images 256]

Prints one JSON line: CPU milliseconds per image to read canvases that an earlier epoch has decoded and make images of
them, those of a bf16 step, and the share of the former in both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import pixprompt
from pixprompt import Canvas, to_images
from pixprompt.cli import keep_freed_memory
from pixprompt.data import load_images, make_canvases


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=256)
    chosen = parser.parse_args()
    keep_freed_memory()
    model = pixprompt.load_model(chosen.model, pretrained=False)
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for number in range(chosen.images):
            pixels = draw.integers(0, 256, (20, 25, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((500, 400)).save(Path(name, f"{number}.jpg"))
        canvases = make_canvases(load_images(name), Canvas.for_model(model.spec), cache=Path(name, "cache"))
        for order in (torch.arange(chosen.images), torch.randperm(chosen.images)):  # the second time counts
            canvases.pixels.expect(order.tolist())
            began = time.process_time()
            for part in torch.split(order, chosen.batch):
                images = to_images(canvases.pixels[part.numpy()], "cpu")
            data = (time.process_time() - began) / chosen.images

    def step() -> float:
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(images.detach().requires_grad_())
        outputs.float().logsumexp(1).sum().backward()
        return (time.process_time() - began) / len(images)

    bare = min(step() for _ in range(6))
    line = {"benchmark": "data_side", **vars(chosen), "threads": torch.get_num_threads()}
    times = {"data_ms": round(data * 1e3, 3), "step_ms": round(bare * 1e3, 2), "share": round(data / (data + bare), 4)}
    print(json.dumps(line | times))


if __name__ == "__main__":
    main()
