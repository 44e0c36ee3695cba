"""A training step of SA²VP against its floor: twice the frozen ViT's own forward and input-side backward.

    python experiments/benchmarks/sa2vp_step.py [--model vit_tiny_patch16_224] [--batch 16] [--repeats 5]

Prints one JSON line: seconds and kept memory of the floor, and the ratios to it of deep and shallow maps, of global
attention, and of a map of half the height and width.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor
from vpt_step import measured

import pixprompt
from pixprompt.adapters import WhiteBox, make_sa2vp

VARIANTS: dict[str, dict[str, Any]] = {
    "deep": {},
    "shallow": {"deep": False},
    "global": {"window": 0},
    "window 5": {"window": 5},
    "half the map": {"map_scale": 2},
    "without supervision": {"balance": 1.0},
}


def forms(name: str, batch: int, device: str) -> tuple[dict[str, Callable[[], Tensor]], set[int]]:
    """Returns what computes features or logits in each form, and the addresses of the backbone's weights."""
    net = timm.create_model(name, num_classes=0).to(device).requires_grad_(False).eval()
    model = pixprompt.as_model(net)
    generator = torch.Generator().manual_seed(0)
    adapters = {
        variant: make_sa2vp(model, ("a", "b"), **options, generator=generator).to(device).train()
        for variant, options in VARIANTS.items()
    }
    with torch.no_grad():
        tokens = adapters["deep"].frozen(torch.rand(batch, 3, 224, 224, generator=generator).to(device))[0]
    twice = torch.cat([tokens, tokens]).requires_grad_()

    def step(adapter: WhiteBox) -> Tensor:
        outputs = adapter.supervised((tokens,), generator=generator)
        return torch.cat([logits for _, logits in outputs])

    variants: dict[str, Callable[[], Tensor]] = {"floor": lambda: net.norm(net.blocks(twice))[:, 0]}
    variants |= {variant: lambda one=one: step(one) for variant, one in adapters.items()}
    return variants, {value.untyped_storage().data_ptr() for value in net.parameters()}


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    variants, weights = forms(chosen.model, chosen.batch, "cuda" if torch.cuda.is_available() else "cpu")
    settings = {
        "benchmark": "sa2vp_step",
        "model": chosen.model,
        "threads": torch.get_num_threads(),
        "batch": chosen.batch,
    }
    print(json.dumps(settings | measured(variants, weights, chosen.repeats)))


if __name__ == "__main__":
    main()
