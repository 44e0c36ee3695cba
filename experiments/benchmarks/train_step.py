"""A step through a frozen model against its eager floor: the library's own net, forward and backward to the pixels.

    python experiments/benchmarks/train_step.py [--model efficientnet-lite0] [--batch 32] [--repeats 5] >> results.jsonl

Prints one JSON line: CPU seconds of the floor and the ratios to it of the model's own step, in float32 and under bf16
autocast, and of answers alone; and the memory that autograd holds in each, as ratios, too. All forms run in turn, the
fastest of each counts. Weights are random but for models that come with their own: time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor
from vpt_step import saved_bytes

import pixprompt
from pixprompt.cli import keep_freed_memory

Form = Callable[[], Tensor]


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


def seconds(run: Callable[[], object]) -> float:
    """Returns the CPU seconds of a run."""
    began = time.process_time()
    run()
    return time.process_time() - began


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    keep_freed_memory()
    variants, weights = forms(chosen.model, chosen.batch)

    def answer(forward: Form) -> None:
        with torch.no_grad():
            forward()

    times: dict[str, list[float]] = {}
    for _ in range(chosen.repeats + 1):
        for name, forward in variants.items():
            times.setdefault(name, []).append(seconds(lambda one=forward: one().logsumexp(1).sum().backward()))
            times.setdefault(f"answers: {name}", []).append(seconds(lambda one=forward: answer(one)))
    best = {name: min(values[1:]) for name, values in times.items()}
    memory = {name: saved_bytes(forward, weights) for name, forward in variants.items()}
    line = {
        "benchmark": "train_step",
        **vars(chosen),
        "threads": torch.get_num_threads(),
        "floor_seconds": round(best["floor"], 3),
        "time": {name: round(value / best["floor"], 3) for name, value in best.items() if name != "floor"},
        "floor_held_mb": round(memory["floor"] / 2**20),
        "held": {name: round(value / memory["floor"], 3) for name, value in memory.items() if name != "floor"},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
