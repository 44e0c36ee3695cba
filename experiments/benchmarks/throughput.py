"""Images per second of whole training epochs on one device, beside the operations counted and the matrix ceiling.

    python experiments/benchmarks/throughput.py [--device cuda] [--cases "clip-vit-b32 pixel;vit-b16-in21k vpt-deep"]
        [--batch 128] [--images 4096] [--rounds 3] [--compile] >> throughput.jsonl

One JSON line per case, a model and a method: images per second of an epoch (the median of the rounds, after one that
does not count), billions of operations per image (a product and a sum are two), the share of the ceiling that this
is, the ceiling being square products in bf16, and the peak of the device's memory. For a pixel prompt also the images
per second of the frozen net alone, forward and backward to the pixels. Weights are random, images stay on the device
where they fit, steps are in bf16.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pixprompt import PixelPrompt, fit, load_model
from pixprompt.adapters import WhiteBox, make_white_box
from pixprompt.models import TorchModel, text_encoder
from pixprompt.outputs import make_output
from pixprompt.templates import make_template

CASES = "clip-vit-b32 pixel;open_clip:ViT-B-16/openai pixel;torchvision:resnet50 pixel;efficientnet-lite0 pixel"
CASES += ";vit-b16-in21k vpt-deep;vit-b16-in21k sa2vp-deep"
CLASSES = tuple(f"class {number}" for number in range(100))


Images = tuple[np.ndarray, np.ndarray]


def images(count: int, size: tuple[int, int]) -> Images:
    """Random canvases with labels."""
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (count, *size, 3), dtype=np.uint8), draw.integers(0, len(CLASSES), count)


def adapter_of(model: TorchModel, method: str) -> PixelPrompt | WhiteBox:
    """A frame of 30 pixels with texts or a mapping, or an adapter inside the model."""
    if method != "pixel":
        return make_white_box(method, model, CLASSES)
    encode = text_encoder(model)
    output = make_output("text" if encode else "random", classes=CLASSES, spec=model.spec, encode_text=encode)
    return PixelPrompt(make_template("padding", canvas_size=model.spec.image_size, size=30), model, output)


def wait(device: str) -> None:
    """Waits for what the device has still to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def rate(run: Callable[[], object], images: int, rounds: int, device: str) -> float:
    """Images per second of a run, the median of the rounds after the first."""
    seconds = []
    for _ in range(rounds + 1):
        wait(device)
        began = time.perf_counter()
        run()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return images / statistics.median(seconds[1:])


def operations(run: Callable[[], object]) -> int:
    """Sums and products of a run."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def ceiling(device: str, rounds: int) -> float:
    """Operations per second of square products in bf16."""
    side = 8192 if torch.device(device).type == "cuda" else 2048
    left, right = torch.rand(2, side, side, device=device, dtype=torch.bfloat16)
    return rate(lambda: [left @ right for _ in range(10)], 10 * 2 * side**3, rounds, device)


def measured(name: str, method: str, chosen: argparse.Namespace) -> dict[str, float]:
    """The figures of a case."""
    device, batch = chosen.device, chosen.batch
    model = load_model(name, pretrained=False, device=device)
    if chosen.compile and method == "pixel":
        model.compile_layers()
    adapter = adapter_of(model, method).to(device)

    def epochs(count: int, number: int) -> list[float]:
        split = images(count, model.spec.image_size)
        state = fit(adapter, split, epochs=number, optimizer="sgd", batch_size=batch, precision="bf16")
        return [line["seconds"] for line in state.history]

    epochs(batch, 1)  # folds the net, and compiles it
    line = {"gflop_per_image": round(operations(lambda: epochs(batch, 1)) / batch / 1e9, 2)}
    seconds = epochs(chosen.images, chosen.rounds + 1)
    each = [after - before for before, after in itertools.pairwise(seconds)]
    line["images_per_second"] = round(chosen.images / statistics.median(each), 1)
    kind = torch.device(device).type
    if method == "pixel":
        inputs = torch.rand(batch, *model.spec.image_size, 3, device=device).permute(0, 3, 1, 2).requires_grad_()

        def bare() -> None:
            with torch.autocast(kind, torch.bfloat16):
                outputs = model.answer(model.normalize(inputs))
            outputs.float().logsumexp(1).sum().backward()

        line["bare_images_per_second"] = round(rate(bare, batch, 3 * chosen.rounds, device), 1)
    if kind == "cuda":
        line["peak_gb"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        torch.cuda.reset_peak_memory_stats()
    return line


def main() -> None:
    """Measures all cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    most = ceiling(chosen.device, chosen.rounds)
    where = torch.cuda.get_device_name() if torch.device(chosen.device).type == "cuda" else "CPU"
    for case in chosen.cases.split(";"):
        name, method = case.split()
        line = measured(name, method, chosen)
        share = line["images_per_second"] * line["gflop_per_image"] * 1e9 / most
        settings = {"benchmark": "throughput", "model": name, "method": method, "on": where, "batch": chosen.batch}
        figures = {**line, "ceiling_tflops": round(most / 1e12, 2), "share_of_ceiling": round(share, 3)}
        print(json.dumps({**settings, "images": chosen.images, "compile": chosen.compile, **figures}), flush=True)


if __name__ == "__main__":
    main()
