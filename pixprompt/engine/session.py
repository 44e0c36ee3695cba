"""A run in progress: its parts, its folder, what queries its model, and the canvases made so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..canvas import Canvas
from ..core import ImageError
from ..data import CanvasSet, ImageSet
from ..ledger import Querier
from ..prompt import Page
from .answers import Answered, Pixels, level, mean_of, query_canvases, to_images
from .inputs.device_rows import on_device
from .parts import Parts, canvases_of
from .progress import Reporter
from .ranks import shared_counts
from .run_folder import RunFolder

__all__ = ["Session"]

_NAMED = 10
Q = TypeVar("Q", bound=Querier, covariant=True)


@dataclass(frozen=True)
class Session(Generic[Q]):
    """A run in progress; on leaving it as a context, the ledger is closed.

    Attributes:
        parts: Of the run; its test images are those that the budget pays for.
        querier: Counts every query, stores the answers where there is a ledger, and keeps to the budget.
        repeats: How often each labelled image is queried; its answers are averaged.
    """

    parts: Parts
    folder: RunFolder
    reporter: Reporter
    querier: Q
    repeats: int = 1
    _canvases: dict[tuple[str, Canvas], CanvasSet] = field(default_factory=dict)
    _unanswered: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.querier.close()

    def canvases(self, split: str, canvas: Canvas) -> CanvasSet:
        """Returns the canvases of train, val or test; each is made once."""
        if (split, canvas) not in self._canvases:
            images = self._images(split)
            workers = self.parts.config.data.workers
            made = canvases_of(images, canvas, workers, self.reporter, f"read {split}")
            self._canvases[split, canvas] = on_device(made, self.parts.device)
        return self._canvases[split, canvas]

    def readable(self) -> Self:
        """Returns the run without the images that cannot be read; a warning names them."""
        splits: dict[str, Any] = {}
        for name in ("train", "val", "test"):
            images = self._images(name)
            if len(images) and (skipped := {each for each, _ in self.canvases(name, self.parts.plain).skipped}):
                splits[name] = images.subset([row for row, each in enumerate(images.names) if each not in skipped])
        return replace(self, parts=replace(self.parts, data=replace(self.parts.data, **splits)))

    @torch.no_grad()
    def outputs(self, images: Tensor, *, replicates: Sequence[int] | None = None) -> Tensor:
        """Queries the model, as often as noise makes it worth while.

        Args:
            images: (N, 3, H, W) in [0, 1].
            replicates: Instead of the first `repeats` ones.

        Returns:
            (N, S) float32, on the CPU, averaged over the replicates; NaN for an image without any answer.
        """
        chosen = range(self.repeats) if replicates is None else replicates
        rows = []
        for part in torch.split(images, self.querier.chunk):
            answers = [self.querier.query(part, replicate).float().cpu() for replicate in chosen]
            rows.append(answers[0] if len(answers) == 1 else mean_of(level(answers)))
            self.reporter.advance(len(part) * len(answers))
        return torch.cat(level(rows))

    def query(
        self,
        split: str,
        canvas: Canvas,
        chosen: Tensor | None = None,
        *,
        prompt: Callable[[Tensor], Tensor] | None = None,
        overlay: Callable[[Pixels], Pixels] | None = None,
        outputs: Callable[[Tensor], Tensor] | None = None,
        replicates: Sequence[int] | None = None,
        partly: bool = False,
    ) -> Answered:
        """Queries the model about images of a split.

        Args:
            split: train, val or test.
            chosen: Positions, (M,); all by default.
            prompt: Laid on the images (n, 3, H, W).
            overlay: Laid on the canvases (n, H, W, 3).
            outputs: Images -> outputs (n, S), instead of those of the model.
            replicates: See `outputs`.
            partly: Whether the first ones are queried where the budget does not pay for all.

        Raises:
            BudgetError: The budget does not pay for them.
        """
        if chosen is not None and not len(chosen):
            return Answered(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))

        def query(images: Tensor) -> Tensor:
            return self.outputs(prompt(images) if prompt else images, replicates=replicates)

        canvases = self.canvases(split, canvas)
        with shared_counts(self.parts.counted):
            answered = query_canvases(
                outputs or query,
                canvases,
                chosen,
                device=self.parts.device,
                batch_size=self.querier.chunk,
                overlay=overlay,
                partly=partly,
                reporter=self.reporter if outputs else None,  # `self.outputs` reports its own queries
            )
        self._report_unanswered(canvases, answered, chosen)
        return answered

    @torch.no_grad()
    def query_pages(
        self, split: str | ImageSet, pages: Sequence[Page], chosen: Tensor, *, replicates: Sequence[int] | None = None
    ) -> Answered:
        """Queries the model about images of a split under each page; their canvases are made now and not stored.

        Args:
            split: train, val or test; or other images.
            pages: V prompts.
            chosen: Positions, (M,).
            replicates: See `outputs`.

        Returns:
            The answers side by side, (M, V * S); NaN for an image that cannot be read or was not answered.

        Raises:
            BudgetError: The budget does not pay for them.
        """
        images = split if isinstance(split, ImageSet) else self._images(split)
        views = []
        with ThreadPoolExecutor(max(1, self.parts.config.data.workers)) as pool:
            for page in pages:
                parts = torch.split(chosen, self.querier.chunk) if len(chosen) else ()
                rows = [self._page_outputs(images, page, part.tolist(), replicates, pool) for part in parts]
                views.append(torch.cat(rows) if rows else torch.zeros(0, self.parts.spec.num_outputs))
        return Answered(torch.cat(views, dim=1), torch.from_numpy(images.labels[chosen.numpy()].copy()))

    def page_pixels(self, split: str, page: Page, names: Sequence[str]) -> Pixels:
        """Returns the prompted canvases (n, H, W, 3) of images of a split that can be read, by their names."""
        images = self._images(split)
        places = {name: index for index, name in enumerate(images.names)}
        return page.overlay(np.stack([page.canvas.make(images.open(places[name])) for name in names]))

    def _page_outputs(
        self, images: ImageSet, page: Page, chosen: list[int], replicates: Sequence[int] | None, pool: Executor
    ) -> Tensor:
        def make(index: int) -> Pixels | None:
            try:
                return page.canvas.make(images.open(index))
            except ImageError:
                return None

        canvases = list(pool.map(make, chosen))
        readable = [row for row, canvas in enumerate(canvases) if canvas is not None]
        rows = torch.full((len(chosen), self.parts.spec.num_outputs), torch.nan)
        if readable:
            block = page.overlay(np.stack([canvas for canvas in canvases if canvas is not None]))
            rows[readable] = self.outputs(to_images(block, self.parts.device), replicates=replicates)
        return rows

    def _images(self, split: str) -> ImageSet:
        data = self.parts.data
        return {"train": data.train, "val": data.val, "test": data.test}[split]

    def _report_unanswered(self, canvases: CanvasSet, answered: Answered, chosen: Tensor | None) -> None:
        """Names each image once that was left without an answer."""
        missing = (~answered.mask).nonzero().flatten()
        positions = missing if chosen is None else chosen[missing]
        new = [name for name in (canvases.names[index] for index in positions.tolist()) if name not in self._unanswered]
        if new:
            self._unanswered.update(new)
            names = ", ".join(new[:_NAMED]) + ", ..." * (len(new) > _NAMED)
            self.reporter.note(f"left without an answer: {names}")
