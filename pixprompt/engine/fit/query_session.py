"""What the stages of a run by answers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ...data import CanvasSet, ImageSet
from ...ledger import Journal
from ..answers import Answered
from ..asking import Asker
from ..budget.allocation import Allocation
from ..budget.noise import Noise
from ..parts import Parts, canvases_of
from ..report import Reporter
from ..saved.prompt_png import write_history
from .cross_fit import stratified_folds, stratified_order

__all__ = ["Session"]


@dataclass
class Session:
    """A run by answers: who is asked, about which images, and what came of it so far.

    Attributes:
        parts: Of the run; replaced once the answers have shown how they are rounded.
        journal: Remembers every answer, and keeps the budget.
        plan: What the budget is spent on.
        order: Positions of all training images; those at the front are asked first.
        folds: (N,) of all training images, for cross-fitting.
        chosen_val: Positions of the validation images.
        head: The first answers, without a prompt.
        twice: Positions of training images that were asked twice.
        again: Their second answers.
        noise: What that showed; None where nothing was asked twice.
        kind: The output transform that serves best without a prompt.
    """

    parts: Parts
    folder: Path
    journal: Journal
    plan: Allocation
    reporter: Reporter
    history: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noise: Noise | None = None
    kind: str = ""

    def __post_init__(self) -> None:
        data, seed = self.parts.data, self.parts.config.seed
        train, val = (torch.from_numpy(images.labels.copy()) for images in (data.train, data.val))
        self.asker = Asker(self.journal, self.parts.device, self.reporter)
        self.order = stratified_order(train, seed, "train")
        self.chosen_val = stratified_order(val, seed, "val")[: self.plan.val]
        self.folds = torch.empty(len(train), dtype=torch.int64)
        self.folds[self.order] = stratified_folds(train[self.order])
        self.head = Answered(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))
        self.twice, self.again = self.order[:0], self.head.outputs
        self._canvases: dict[tuple[str, bool], CanvasSet] = {}

    @property
    def search_queries(self) -> int:
        """What is left for trials; labelled images that are asked repeatedly are paid from it."""
        return self.plan.search - (self.asker.repeats - 1) * (self.plan.head + self.plan.val)

    def canvases(self, name: str, *, shrink: bool) -> Callable[[], CanvasSet]:
        """Returns what makes the canvases of train or val, those under a shrinking prompt or the plain ones; once."""
        return lambda: self._made(name, shrink)

    def _made(self, name: str, shrink: bool) -> CanvasSet:
        if (name, shrink) not in self._canvases:
            parts = self.parts
            images: ImageSet = {"train": parts.data.train, "val": parts.data.val}[name]
            made = canvases_of(images, parts.fitted(shrink), parts.config.data.workers, self.reporter, f"read {name}")
            self._canvases[name, shrink] = made
        return self._canvases[name, shrink]

    def on_line(self, line: dict[str, float]) -> None:
        """Adds a line to the history."""
        self.history.append(line)
        write_history(self.folder, self.history)
        self.reporter.epoch(line)
