"""A training step of VPT against its floor: the frozen ViT's own forward and input-side backward at that length.

    python experiments/benchmarks/vpt_step.py [--tokens 50] [--batch 16] [--repeats 5]

Prints one JSON line: seconds of the floor, and the ratio of time and of memory kept for the backward pass of deep
and shallow prompts, and of deep prompts written as whole sequences that are joined before each layer.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor

import pixprompt
from pixprompt.adapters import make_vpt


def saved_bytes(forward: Callable[[], Tensor], weights: set[int]) -> int:
    """Bytes that autograd keeps between forward and backward, without the backbone's weights."""
    results: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            results[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
    del result
    return sum(results.values())


def step(forward: Callable[[], Tensor]) -> float:
    """Returns the seconds of one forward and backward."""
    began = time.perf_counter()
    forward().square().sum().backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measured(variants: dict[str, Callable[[], Tensor]], weights: set[int], repeats: int) -> dict[str, Any]:
    """Measures all forms side by side, in turn, takes the fastest of each, and sets them against "floor"."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats + 1):
        for name, forward in variants.items():
            seconds[name].append(step(forward))
    best = {name: min(values[1:]) for name, values in seconds.items()}
    memory = {name: saved_bytes(forward, weights) for name, forward in variants.items()}
    return {
        "floor_seconds": round(best["floor"], 3),
        "floor_kept_mb": round(memory["floor"] / 2**20, 1),
        "time": {name: round(value / best["floor"], 3) for name, value in best.items() if name != "floor"},
        "kept": {name: round(value / memory["floor"], 3) for name, value in memory.items() if name != "floor"},
    }


def forms(batch: int, num_tokens: int) -> tuple[dict[str, Callable[[], Tensor]], set[int]]:
    """Returns images -> features in each form, and the addresses of the backbone's weights."""
    net = timm.create_model("vit_tiny_patch16_224", num_classes=0).requires_grad_(False).eval()
    model = pixprompt.as_model(net)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, 224, 224, generator=generator)
    adapters = {
        name: make_vpt(model, ("a", "b"), deep=name == "deep", tokens=num_tokens, dropout=0.0, generator=generator)
        for name in ("deep", "shallow")
    }
    view, sets = adapters["deep"].view, adapters["deep"].prompts.sets.tokens
    with torch.no_grad():
        tokens = view.embed(images)
    longer = torch.cat([tokens, tokens[:, :num_tokens]], 1).requires_grad_()

    def floor() -> Tensor:
        return view.norm(net.blocks(longer))[:, 0]

    def joined() -> Tensor:
        whole = tokens
        for index, layer in enumerate(view.layers):
            rest = whole[:, 1 + (num_tokens if index else 0) :]
            whole = layer(torch.cat([whole[:, :1], sets[index].expand(batch, -1, -1), rest], 1))
        return view.norm(whole)[:, 0]

    variants: dict[str, Callable[[], Tensor]] = {"floor": floor}
    variants |= {name: lambda one=one: one.tuned((tokens,)) for name, one in adapters.items()}
    variants["deep, joined"] = joined
    return variants, {value.untyped_storage().data_ptr() for value in net.parameters()}


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    settings = {
        "benchmark": "vpt_step",
        "threads": torch.get_num_threads(),
        "tokens": chosen.tokens,
        "batch": chosen.batch,
    }
    print(json.dumps(settings | measured(*forms(chosen.batch, chosen.tokens), chosen.repeats)))


if __name__ == "__main__":
    main()
