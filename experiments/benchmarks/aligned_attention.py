"""Windowed cross attention of two maps, 3 x 3, against the same written in other ways.

    OMP_NUM_THREADS=1 python experiments/benchmarks/aligned_attention.py [--batch 16] [--repeats 10]

Prints a Markdown table: milliseconds of CPU time of forward and backward, what is kept in between, and the most that
is alive at once, gradients included. All forms take turns; of each the fastest counts. The brackets are ratios to
PyTorch's attention with a mask of all pairs.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pixprompt.adapters import aligned_attention

SIDE = 3
CASES = {  # heads, width of a head, side of the maps, prefix rows
    "ViT-Ti, 6 x 6": (3, 64, 6, 1),
    "ViT-Ti, 14 x 14": (3, 64, 14, 1),
    "ViT-B, 14 x 14": (12, 64, 14, 1),
    "Swin-T stage 3, 14 x 14": (12, 32, 14, 0),
    "larger, 28 x 28": (3, 64, 28, 0),
}
Form = Callable[[Tensor, Tensor, Tensor, int, int], Tensor]


def tiles(queries: Tensor, keys: Tensor, values: Tensor, side: int, prefix: int) -> Tensor:
    """What the library does."""
    grid = (side, side)
    return aligned_attention(queries, keys, values, query_grid=grid, source_grid=grid, num_prefix=prefix, window=SIDE)


def masked(queries: Tensor, keys: Tensor, values: Tensor, side: int, prefix: int) -> Tensor:
    """All pairs, most of them masked."""
    places = torch.arange(side)
    near = (places - places[:, None]).abs() <= SIDE // 2
    mask = torch.ones(queries.shape[2], keys.shape[2], dtype=torch.bool)
    mask[prefix:, :prefix] = False
    mask[prefix:, prefix:] = (near[:, None, :, None] & near[None, :, None, :]).reshape(side**2, side**2)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def unfolded(queries: Tensor, keys: Tensor, values: Tensor, side: int, prefix: int) -> Tensor:
    """Every query with its own copy of the keys and values of its window."""

    def unfold(rows: Tensor) -> Tensor:
        maps = rows[:, :, prefix:].transpose(2, 3).reshape(-1, rows.shape[3], side, side)
        return F.unfold(maps, SIDE, padding=SIDE // 2).view(*rows.shape[:2], rows.shape[3], SIDE**2, side**2)

    outside = F.unfold(torch.ones(1, 1, side, side), SIDE, padding=SIDE // 2)[0] == 0
    asking = queries[:, :, prefix:].transpose(2, 3).unsqueeze(3) / math.sqrt(queries.shape[3])
    shares = (asking * unfold(keys)).sum(2, keepdim=True).masked_fill(outside, -math.inf).softmax(3)
    return behind_prefix(queries, keys, values, prefix, (shares * unfold(values)).sum(3).transpose(2, 3))


def shifted(queries: Tensor, keys: Tensor, values: Tensor, side: int, prefix: int) -> Tensor:
    """One pass over the whole map for each of the places in a window."""
    reach = SIDE // 2
    windows = [(slice(i, i + side), slice(j, j + side)) for i, j in itertools.product(range(SIDE), repeat=2)]

    def padded(rows: Tensor) -> Tensor:
        return F.pad(rows[:, :, prefix:].unflatten(2, (side, side)), (0, 0, reach, reach, reach, reach))

    outside = F.pad(torch.zeros(side, side), (reach,) * 4, value=-math.inf)
    asking = queries[:, :, prefix:].unflatten(2, (side, side)) / math.sqrt(queries.shape[3])
    query, padded_values = padded(keys), padded(values)
    scores = [(asking * query[:, :, rows, columns]).sum(-1) + outside[rows, columns] for rows, columns in windows]
    shares = torch.stack(scores, -1).softmax(-1).unbind(-1)
    parts = [share[..., None] * padded_values[:, :, i, j] for share, (i, j) in zip(shares, windows, strict=True)]
    return behind_prefix(queries, keys, values, prefix, sum(parts[1:], parts[0]).flatten(2, 3))


def behind_prefix(queries: Tensor, keys: Tensor, values: Tensor, prefix: int, patches: Tensor) -> Tensor:
    """Joins the prefix rows, which see everything, and the patches."""
    if not prefix:
        return patches
    return torch.cat([F.scaled_dot_product_attention(queries[:, :, :prefix], keys, values), patches], 2)


FORMS: dict[str, Form] = {"masked": masked, "tiles": tiles, "shifted": shifted, "unfolded": unfolded}


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that were made and are not gone."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def now(self) -> int:
        """Bytes alive."""
        self.sizes = {storage: size for storage, size in self.sizes.items() if not storage.expired()}
        return sum(self.sizes.values())

    def __torch_dispatch__(self, function, types, args=(), options=None):  # type: ignore[no-untyped-def]
        """Runs an operation and notes what it made."""
        old = {StorageWeakRef(tensor.untyped_storage()) for tensor in tree_leaves(args) if torch.is_tensor(tensor)}
        output = function(*args, **(options or {}))
        for tensor in tree_leaves(output):
            storage = tensor.untyped_storage() if torch.is_tensor(tensor) else None
            if storage is not None and StorageWeakRef(storage) not in old:
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        self.peak = max(self.peak, self.now())
        return output


def measure(case: tuple[int, int, int, int], batch: int, repeats: int) -> dict[str, list[float]]:
    """Returns milliseconds, MiB kept and MiB alive at most, of each form."""
    heads, width, side, prefix = case
    generator = torch.Generator().manual_seed(0)
    shape = (4, batch, prefix + side**2, heads, width)
    *inputs, arriving = torch.randn(shape, generator=generator).transpose(2, 3)
    inputs = [rows.requires_grad_() for rows in inputs]
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for _, (name, form) in itertools.product(range(repeats + 1), FORMS.items()):
        began = time.process_time()
        torch.autograd.grad(form(*inputs, side, prefix), inputs, arriving)
        seconds[name].append(time.process_time() - began)
    results = {}
    for name, form in FORMS.items():
        with Alive() as alive:
            result = form(*inputs, side, prefix)
            memory = alive.now()
            torch.autograd.grad(result, inputs, arriving)
            del result
        results[name] = [min(seconds[name][1:]) * 1e3, memory / 2**20, alive.peak / 2**20]
    return results


def main() -> None:
    """Measures all cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=10)
    chosen = parser.parse_args()
    print(f"{torch.get_num_threads()} thread, batch {chosen.batch}\n")
    print("| case | form | forward + backward, ms | kept, MiB | peak, MiB |\n|---|---|---|---|---|")
    for name, case in CASES.items():
        measures = measure(case, chosen.batch, chosen.repeats)
        for form, values in measures.items():
            cells = [
                f"{value:.1f} ({value / base:.2f})" for value, base in zip(values, measures["masked"], strict=True)
            ]
            print(f"| {name} | {form} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
