"""A step through a frozen model against its eager floor: the library's own net, forward and backward to the pixels.

    python experiments/benchmarks/train_step.py [--model efficientnet-lite0] [--batch 32] [--rounds 8] >> steps.jsonl

Prints one JSON line, see `paired.py`: CPU seconds of the floor and the ratios to it of the model's own step, in float32
and under bf16 autocast, and of answers alone; the memory that autograd holds in each; and "products_seconds", what
square products would take for the step's multiplications. Weights are random but for
models that come with their own: time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial

import torch
from paired import Form, ratios, saved_bytes, seconds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import pixprompt
from pixprompt.cli import keep_freed_memory


def forms(name: str, batch: int) -> tuple[dict[str, Form], set[int]]:
    """Returns what computes outputs in each form, and the addresses of the model's weights."""
    model = pixprompt.load_model(name, pretrained=name.startswith("efficientnet-lite"))
    generator = torch.Generator().manual_seed(0)
    height, width = model.spec.image_size
    images = torch.rand(batch, height, width, 3, generator=generator).permute(0, 3, 1, 2).requires_grad_()
    net = model.net.encode_image if name.startswith(("clip", "open_clip")) else model.net

    def floor() -> Tensor:
        return net(model.prepare(images))

    def step() -> Tensor:
        return model(images)

    def in_bf16(forward: Form) -> Form:
        def run() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return forward().float()

        return run

    variants = {"floor": floor, "float32": step, "bf16, floor": in_bf16(floor), "bf16": in_bf16(step)}
    return variants, {value.untyped_storage().data_ptr() for value in model.parameters()}


def product_seconds(count: int, side: int = 2048) -> float:
    """Returns the CPU seconds of so many multiplications in products of square matrices, the fastest of a few."""
    left, right = torch.rand(2, side, side)
    return min(seconds(lambda: left @ right) for _ in range(5)) * count / side**3


def multiplications(run: Callable[[], object]) -> int:
    """Returns how many numbers are multiplied in products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=8)
    chosen = parser.parse_args()
    keep_freed_memory()
    variants, weights = forms(chosen.model, chosen.batch)

    def step(forward: Form) -> None:
        forward().logsumexp(1).sum().backward()

    def answer(forward: Form) -> None:
        with torch.no_grad():
            forward()

    runs = {name: partial(step, forward) for name, forward in variants.items()}
    runs |= {f"answers: {name}": partial(answer, forward) for name, forward in variants.items()}
    memory = {name: saved_bytes(forward, weights) for name, forward in variants.items()}
    line = {
        "benchmark": "train_step",
        **vars(chosen),
        "threads": torch.get_num_threads(),
        **ratios(runs, chosen.rounds),
        "products_seconds": round(product_seconds(multiplications(runs["floor"])), 3),
        "floor_held_mb": round(memory["floor"] / 2**20),
        "held": {name: round(value / memory["floor"], 3) for name, value in memory.items() if name != "floor"},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
