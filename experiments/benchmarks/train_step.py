"""Time of a training step on the CPU: plain float32, bf16, and with freed memory kept, in one run.

    python experiments/benchmarks/train_step.py

Prints one JSON line: images per second, and CPU seconds in the system per second of wall time.
"""

import json
import resource
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import pixprompt
from pixprompt.cli.allocator import keep_freed_memory

STEPS, BATCH = 5, 32


def measure(model: Callable[[Tensor], Tensor], autocast: torch.dtype | None) -> dict[str, float]:
    """Times forward and backward to the pixels."""
    images = torch.rand(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def step() -> None:
        with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            outputs = model(images)
        outputs.logsumexp(1).sum().backward()

    step()
    used, began = resource.getrusage(resource.RUSAGE_SELF).ru_stime, time.perf_counter()
    for _ in range(STEPS):
        step()
    seconds = time.perf_counter() - began
    system = resource.getrusage(resource.RUSAGE_SELF).ru_stime - used
    return {"images_per_second": round(STEPS * BATCH / seconds, 1), "system_share": round(system / seconds, 3)}


def main() -> None:
    """Measures all forms; keeping memory comes last, since it cannot be undone."""
    model = pixprompt.load_model("efficientnet-lite0")
    result: dict[str, Any] = {"threads": torch.get_num_threads()}
    result["fp32"] = measure(model, None)
    result["bf16"] = measure(model, torch.bfloat16)
    keep_freed_memory()
    result["fp32, memory kept"] = measure(model, None)
    result["bf16, memory kept"] = measure(model, torch.bfloat16)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
