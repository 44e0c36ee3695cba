"""Forms of the same work side by side: CPU seconds as ratios to a floor, robust on a machine with other work to do."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Form = Callable[[], Tensor]


def saved_bytes(forward: Form, weights: set[int]) -> int:
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


def seconds(run: Callable[[], object]) -> float:
    """Returns the CPU seconds of a run, those of all threads of this process."""
    began = time.process_time()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.process_time() - began


def ratios(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Runs all forms in turn, round after round, the floor beside each.

    Args:
        runs: One of them is "floor".
        rounds: How often, after one that does not count.

    Returns:
        Median seconds of the floor; the median of each form's ratio to the floor's runs before and after it, and the
        quartiles of those ratios.
    """
    floor, found = [], {name: [] for name in runs if name != "floor"}
    for number in range(rounds + 1):
        gc.collect()
        before = seconds(runs["floor"])
        for name, results in found.items():
            own = seconds(runs[name])
            after = seconds(runs["floor"])
            if number:
                results.append(2 * own / (before + after))
                floor.append(after)
            before = after
    return {
        "rounds": rounds,
        "floor_seconds": round(statistics.median(floor), 3),
        "time": {name: round(statistics.median(values), 3) for name, values in found.items()},
        "quartiles": {
            name: [round(value, 3) for value in statistics.quantiles(values, n=4)[::2]]
            for name, values in found.items()
        },
    }


def steps(variants: dict[str, Form], weights: set[int], rounds: int) -> dict[str, Any]:
    """Measures forward and backward of all forms, in time and in memory held between the two."""

    def run(forward: Form) -> None:
        forward().square().sum().backward()

    memory = {name: saved_bytes(forward, weights) for name, forward in variants.items()}
    return {
        **ratios({name: lambda one=one: run(one) for name, one in variants.items()}, rounds),
        "floor_held_mb": round(memory["floor"] / 2**20, 1),
        "held": {name: round(value / memory["floor"], 3) for name, value in memory.items() if name != "floor"},
    }
