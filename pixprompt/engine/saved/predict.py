"""Reading labels off new images with a saved prompt, in order, whatever happens to some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from ...canvas import Pixels
from ...core import ImageError
from ...data import ImageSet, join, load_images
from ...prompt import Page
from ..report import Reporter, Silent
from .deploy import Deployed
from .prediction import probabilities

__all__ = ["predict"]


def predict(
    deployed: Deployed,
    inputs: list[str],
    *,
    top: int = 5,
    batch_size: int | None = None,
    workers: int = 2,
    reporter: Reporter | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields one object per image, in order: {"path", "label", "probability", "top"} or {"path", "error"}.

    Each image is a query under every page of the prompt. What a remote model has answered is in its ledger: a second
    call yields it without asking. An image that it refuses has an error, the others go on.

    Args:
        deployed: From `deploy`.
        inputs: Image files and folders; all are found before the model is asked anything.
        top: How many classes to list.
        batch_size: Images per call; None for what suits the model.
        workers: Threads that decode images.
        reporter: Hears who is asked.

    Raises:
        BudgetError: A remote model would have to be asked more than the budget allows.
        EndpointError: It refuses several images in a row, or does not answer.
    """
    images = join([load_images(name) for name in inputs])
    deployed.model.announce(len(images) * len(deployed.prompt.pages), (reporter or Silent()).note)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        size = batch_size or deployed.model.chunk
        for start in range(0, len(images), size):
            yield from _predict_batch(deployed, images, range(start, min(start + size, len(images))), top, pool)


def _predict_batch(
    deployed: Deployed, images: ImageSet, chosen: range, top: int, pool: Executor
) -> Iterator[dict[str, Any]]:
    pages: Sequence[Page] = deployed.prompt.pages
    students = [] if deployed.student is None else [deployed.student.canvas]

    def canvases(index: int) -> list[Pixels] | ImageError:
        try:
            image = images.open(index)
            return [canvas.make(image) for canvas in (*(page.canvas for page in pages), *students)]
        except ImageError as error:
            return error

    made = list(pool.map(canvases, chosen))
    good = [item for item in made if not isinstance(item, ImageError)]
    views = [page.overlay(np.stack([item[number] for item in good])) for number, page in enumerate(pages) if good]
    own = np.stack([item[-1] for item in good]) if good and students else None
    answers = iter(probabilities(deployed, views, own) if good else [])
    for index, item in zip(chosen, made, strict=True):
        shares = str(item) if isinstance(item, ImageError) else next(answers)
        if isinstance(shares, str):
            yield {"path": images.names[index], "error": shares}
            continue
        # By share alone: the sort is stable, so a tie goes to the first class, as it does in `evaluate`.
        named = sorted(zip(shares.tolist(), deployed.classes, strict=True), key=lambda pair: -pair[0])[:top]
        yield {
            "path": images.names[index],
            "label": named[0][1],
            "probability": round(named[0][0], 6),
            "top": [{"label": label, "probability": round(share, 6)} for share, label in named],
        }
