"""A training step of SA²VP against its floor: twice the frozen ViT's own forward and input-side backward.

    python experiments/benchmarks/sa2vp_step.py [--model vit_tiny_patch16_224] [--batch 8] [--rounds 10]

The floor is the library's own net, forward and backward, with the tokens of the image and those of the prompts as one
batch; "two passes" is the same, one after the other. Prints one JSON line, see `paired.py`: CPU seconds and held memory
of the floor, and the ratios to it of deep and shallow maps, of global attention, of half the height and width.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import timm
import torch
from paired import steps
from torch import Tensor

import pixprompt
from pixprompt.adapters import WhiteBox, make_sa2vp
from pixprompt.cli import keep_freed_memory

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
    each = [tokens.clone().requires_grad_() for _ in range(2)]

    def step(adapter: WhiteBox) -> Tensor:
        outputs = adapter.supervised((tokens,), generator=generator)
        return torch.cat([logits for _, logits in outputs])

    def own(entering: Tensor) -> Tensor:
        return net.norm(net.blocks(entering))[:, 0]

    variants: dict[str, Callable[[], Tensor]] = {
        "floor": lambda: own(twice),
        "two passes": lambda: torch.cat(list(map(own, each))),
    }
    variants |= {variant: lambda one=one: step(one) for variant, one in adapters.items()}
    return variants, {value.untyped_storage().data_ptr() for value in net.parameters()}


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    keep_freed_memory()
    variants, weights = forms(chosen.model, chosen.batch, "cuda" if torch.cuda.is_available() else "cpu")
    settings = {
        "benchmark": "sa2vp_step",
        "model": chosen.model,
        "threads": torch.get_num_threads(),
        "batch": chosen.batch,
    }
    print(json.dumps(settings | steps(variants, weights, chosen.rounds)))


if __name__ == "__main__":
    main()
