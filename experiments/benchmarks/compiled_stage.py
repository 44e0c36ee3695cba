"""One stage of a frozen EfficientNet-Lite0, forward and backward, compiled by torch, as the library has it, and folded.

    python experiments/benchmarks/compiled_stage.py [--stage 1] [--batch 8] [--repeats 4]

Prints one JSON line: CPU seconds of the first step of the compiled stage in float32 and under bf16 autocast, those of
the compiler included, and CPU milliseconds of the fastest step of each form.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable

import torch
from torch import nn

import pixprompt

Step = Callable[[], None]


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds(step: Step) -> float:
    """CPU seconds of a step."""
    began = cpu_seconds()
    step()
    return cpu_seconds() - began


def main() -> None:
    """Measures all forms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=4)
    chosen = parser.parse_args()
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process, so that its seconds count
    model = pixprompt.load_model("efficientnet-lite0", pretrained=False)
    entering: list[torch.Tensor] = []
    hook = model.net.blocks[chosen.stage].register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    with torch.no_grad():
        model(torch.rand(chosen.batch, 3, *model.spec.image_size))
    hook.remove()
    model(torch.rand(1, 3, *model.spec.image_size))  # folds the net
    maps, stage = entering[0].clone().requires_grad_(), model.net.blocks[chosen.stage]
    modules = {"library": stage, "folded": model._folded[0].blocks[chosen.stage], "compiled": torch.compile(stage)}

    def step(module: nn.Module, in_bf16: bool) -> Step:
        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
                outputs = module(maps)
            outputs.float().sum().backward()

        return run

    line = {"benchmark": "compiled_stage", **vars(chosen), "threads": torch.get_num_threads()}
    for kind in ("float32", "bf16"):
        steps = {name: step(module, kind == "bf16") for name, module in modules.items()}
        first = {name: seconds(run) for name, run in steps.items()}
        fastest = {name: min(seconds(run) for _ in range(chosen.repeats)) for name, run in steps.items()}
        line[kind] = {
            "first_seconds": round(first["compiled"], 1),
            "ms": {name: round(value * 1e3, 1) for name, value in fastest.items()},
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
