"""Features before the head, and how well they keep classes apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...adapters import WhiteBox
from ...core import ModelError
from ...engine import Reporter
from ...engine.answers import batches, to_images
from ...plots import Pixels

__all__ = ["collect", "head_inputs", "silhouette"]


def head_inputs(adapter: WhiteBox, images: Tensor) -> Tensor:
    """Returns what the head of an adapter reads, (N, D); the adapter is left as it was.

    Args:
        adapter: In evaluation mode, with a submodule `head` that it calls once.
        images: (N, 3, H, W) in [0, 1].

    Raises:
        ModelError: There is no such head.
    """
    name = type(adapter).__name__
    head = dict(adapter.named_children()).get("head")
    if head is None:
        raise ModelError(f"{name} has no submodule 'head', whose input its features would be.")
    calls: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append(inputs[0].detach())

    hook = head.register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            adapter(images)
    finally:
        hook.remove()
    if len(calls) != 1 or len(calls[0]) != len(images):
        raise ModelError(f"the head of {name} was called {len(calls)} times, expected once, on {len(images)} images.")
    return calls[0]


@torch.no_grad()
def collect(read: Callable[[Tensor], Tensor], pixels: Pixels, device: str, reporter: Reporter) -> Tensor:
    """Returns features (N, D) of canvases (N, H, W, 3), on the CPU; `read` takes images (n, 3, H, W)."""
    features = []
    for part in batches(len(pixels)):
        features.append(read(to_images(pixels[part], device)).float().cpu())
        reporter.advance(len(features[-1]))
    return torch.cat(features)


def silhouette(features: Tensor, labels: npt.NDArray[np.int64]) -> float | None:
    """Returns the mean silhouette of the true classes in feature space, in [-1, 1]; None where it is not defined.

    1: each image lies far nearer to its own class than to any other; 0: between two; below: nearer to another.

    Args:
        features: (N, D).
        labels: (N,).

    Reference: Rousseeuw 1987, Euclidean distances.
    """
    from sklearn.metrics import silhouette_score  # slow to import, and for this alone

    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(features.double().numpy(), labels))
