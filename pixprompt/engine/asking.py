"""Asking an opaque model about chosen images of a split, under a prompt or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core import BudgetError
from ..data import CanvasSet
from ..ledger import Journal
from .answers import BATCH, Answered, level, mean_of, to_images
from .report import Reporter

__all__ = ["Asker", "ask_some"]


_NAMED = 10


@dataclass(frozen=True)
class Asker:
    """Asks about a bounded number of images at a time, as often as noise makes it worth while.

    Attributes:
        model: Remembers, counts, and keeps the budget.
        device: Where the images are made.
        repeats: How often each labelled image is asked; its answers are averaged.
        left: Names of the images that were left without an answer, as the reporter was told.
    """

    model: Journal
    device: str
    reporter: Reporter
    repeats: int = 1
    left: set[str] = field(default_factory=set)

    @torch.no_grad()
    def __call__(self, images: Tensor, *, replicates: Sequence[int] | None = None) -> Tensor:
        """Returns the answers to images (N, 3, H, W), (N, S) float32 on the CPU, averaged over the replicates.

        NaN for what is left without any answer.
        """
        asked = range(self.repeats) if replicates is None else replicates
        rows = []
        for part in torch.split(images, self.model.chunk):
            answers = [self.model.query(part, replicate).float().cpu() for replicate in asked]
            rows.append(answers[0] if len(answers) == 1 else mean_of(level(answers)))
            self.reporter.advance(len(part) * len(answers))
        return torch.cat(level(rows))

    def tell(self, names: Sequence[str]) -> None:
        """Says once of each image that it was left without an answer."""
        new = [name for name in names if name not in self.left]
        if new:
            self.left.update(new)
            self.reporter.note(f"left without an answer: {', '.join(new[:_NAMED])}{', ...' * (len(new) > _NAMED)}")


def ask_some(
    asker: Asker,
    canvases: Callable[[], CanvasSet],
    chosen: Tensor,
    *,
    prompt: Callable[[Tensor], Tensor] | None = None,
    replicates: Sequence[int] | None = None,
    partly: bool = False,
) -> Answered:
    """Asks about canvases.

    Args:
        asker: Who is asked.
        canvases: Makes the split; not called where nothing is chosen.
        chosen: Positions in it, (M,).
        prompt: Laid on the images.
        replicates: Instead of those of the asker.
        partly: Where the budget does not pay for all, ask about the first ones.

    Returns:
        The answers to all that was chosen, or, partly, to the first ones; NaN where one is missing between them.

    Raises:
        BudgetError: The budget does not pay for them.
    """
    rows: list[Tensor] = []
    if not len(chosen):
        return Answered(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))
    split = canvases()
    parts = list(torch.split(chosen, asker.model.chunk))
    while parts:
        part = parts.pop(0)
        images = to_images(split.pixels[part.numpy()], asker.device)
        try:
            rows.append(asker(prompt(images) if prompt else images, replicates=replicates))
        except BudgetError:
            if not partly:
                raise
            # A large part may be paid for in part; what comes after it is not.
            parts = list(torch.split(part, -(-len(part) // 2))) if len(part) > BATCH else []
    chosen = chosen[: sum(map(len, rows))]
    answered = Answered(
        torch.cat(level(rows)) if rows else torch.zeros(0, 0), torch.from_numpy(split.labels[chosen.numpy()].copy())
    )
    asker.tell([split.names[index] for index in chosen[~answered.heard].tolist()])
    return answered
