"""Querying a model about many canvases: batches in, one tensor of outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import BudgetError, OutputTransform
from ..data import CanvasSet
from ..models import images_per_call, widened
from ..tensor_checks import to_images
from .progress import Reporter, Silent
from .ranks import current_ranks
from .result import Score, wilson

__all__ = [
    "Answered",
    "Pixels",
    "accuracy",
    "batches",
    "level",
    "mean_of",
    "query_canvases",
    "reproducible",
    "right_images",
    "score",
    "to_images",
]

Pixels = npt.NDArray[np.uint8]


def reproducible() -> AbstractContextManager[None]:
    """Returns a context with deterministic cuDNN kernels and no TF32: scores on a GPU as on a CPU, seeds that hold."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def batches(total: int, size: int = 16) -> Iterator[slice]:
    """Yields slices that cover 0..total in order."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


@dataclass(frozen=True)
class Answered:
    """The answers to the images of a split.

    Attributes:
        outputs: (N, S) float32, on the CPU. NaN for an image that a remote model left without an answer.
        labels: (N,) int64.
    """

    outputs: Tensor
    labels: Tensor

    @property
    def mask(self) -> Tensor:
        """Which images were answered, (N,) bool."""
        return ~self.outputs.isnan().any(1)

    @property
    def complete(self) -> Answered:
        """Without the images that were not answered."""
        mask = self.mask
        return self if bool(mask.all()) else self.only(mask)

    def only(self, chosen: Tensor) -> Answered:
        """Returns the answers to some of the images, by position or by a mask (N,)."""
        return Answered(self.outputs[chosen], self.labels[chosen])


@torch.no_grad()
def query_canvases(
    query: Callable[[Tensor], Tensor],
    canvases: CanvasSet,
    chosen: Tensor | None = None,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    overlay: Callable[[Pixels], Pixels] | None = None,
    partly: bool = False,
    reporter: Reporter | None = None,
) -> Answered:
    """Queries a model about canvases; of several processes, each about its own batches.

    Args:
        query: Images (n, 3, H, W) in [0, 1] -> outputs (n, S); NaN for an image without an answer.
        chosen: Positions in it, (M,); all by default.
        overlay: Applied to the canvases before they become images: `SavedPrompt.overlay`.
        partly: Whether the first ones are queried where the budget does not pay for all.
        reporter: Advanced by the number of images.

    Returns:
        The answers to all that was chosen, or, partly, to the first ones.

    Raises:
        BudgetError: The budget does not pay for them.
    """
    chosen = torch.arange(len(canvases.labels)) if chosen is None else chosen
    rows: list[Tensor] = []
    batch_size = batch_size or images_per_call(device)
    whole = list(torch.split(chosen, batch_size)) if len(chosen) else []
    parts = list(current_ranks().own(whole))
    while parts:
        part = parts.pop(0)
        chosen_rows, pixels = part.numpy(), canvases.pixels
        images = to_images(overlay(pixels[chosen_rows]), device) if overlay else pixels.images(chosen_rows, device)
        try:
            rows.append(query(images).float().cpu())
        except BudgetError:
            if not partly:
                raise
            # A large part may be paid for in part; what comes after it is not.
            parts = list(torch.split(part, -(-len(part) // 2))) if len(part) > images_per_call(device) else []
            continue
        (reporter or Silent()).advance(len(part))
    if current_ranks().size > 1:
        positions = current_ranks().own(torch.split(torch.arange(len(chosen)), batch_size))
        outputs = current_ranks().gather(rows, positions, len(chosen))
    else:
        chosen = chosen[: sum(map(len, rows))]
        outputs = torch.cat(level(rows)) if rows else torch.zeros(0, 0)
    return Answered(outputs, torch.from_numpy(np.array(canvases.labels)[chosen.numpy()]))


def level(rows: list[Tensor]) -> list[Tensor]:
    """Makes answers equally wide: those of an open vocabulary grow as labels are found."""
    return [widened(row, rows[-1].shape[1]) for row in rows]


def mean_of(answers: list[Tensor]) -> Tensor:
    """Returns the mean of answers to the same images, each (N, S); over those that there are."""
    stacked = torch.stack(answers)
    return stacked.nanmean(0) if bool(stacked.isnan().any()) else stacked.mean(0)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Returns the share of images whose largest logit is their label's."""
    return float((logits.argmax(1) == labels).double().mean())


def score(output: OutputTransform, val: Answered | None, test: Answered | None) -> Score:
    """Scores splits under an output transform; images without an answer do not count."""
    output = output.to("cpu")
    val, test = (split.complete if split and bool(split.mask.any()) else None for split in (val, test))
    correct = int((output(test.outputs).argmax(1) == test.labels).sum()) if test else 0
    return Score(
        val=accuracy(output(val.outputs), val.labels) if val else None,
        test=correct / len(test.labels) if test else None,
        ci95=wilson(correct, len(test.labels)) if test else None,
        output=output.kind,
    )


def right_images(output: OutputTransform, answered: Answered) -> str:
    """Returns which of N images are right under an output transform, as N bits in hexadecimal; no unanswered one is."""
    logits = output.to("cpu")(answered.outputs.nan_to_num(0.0))
    right = (logits.argmax(1) == answered.labels) & answered.mask
    return np.packbits(right.numpy()).tobytes().hex()
