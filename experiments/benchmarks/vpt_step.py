"""A training step of VPT against its floor: the frozen ViT's own forward and input-side backward at that length.

    python experiments/benchmarks/vpt_step.py [--tokens 50] [--batch 8] [--rounds 10]

Prints one JSON line, see `paired.py`: CPU seconds of the floor, and the ratios of time and of memory held for the
backward pass of deep and shallow prompts, and of deep prompts written as whole sequences that are joined before each
layer.
"""

import argparse
import json
from collections.abc import Callable

import timm
import torch
from paired import steps
from torch import Tensor

import pixprompt
from pixprompt.adapters import make_vpt
from pixprompt.cli import keep_freed_memory


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
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    keep_freed_memory()
    settings = {
        "benchmark": "vpt_step",
        "model": "vit_tiny_patch16_224",
        "threads": torch.get_num_threads(),
        "tokens": chosen.tokens,
        "batch": chosen.batch,
    }
    print(json.dumps(settings | steps(*forms(chosen.batch, chosen.tokens), chosen.rounds)))


if __name__ == "__main__":
    main()
