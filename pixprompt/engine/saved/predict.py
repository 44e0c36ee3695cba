"""Reading labels off new images with a saved prompt, in order, whatever happens to some of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from ...canvas import Pixels
from ...core import ConfigError, ImageError
from ...data import each_image
from ...data.readers.folders import image_places
from ...prompt import Page
from ...stores import StoreFile, locate, open_at
from ..progress import Reporter, Silent
from .deploy import Deployed
from .prediction import probabilities

if TYPE_CHECKING:
    from ...models import DirectQuerier

__all__ = ["predict", "predict_each", "predict_on_cluster"]

T = TypeVar("T")
_Canvases: TypeAlias = list[Pixels] | ImageError
_ON_CLUSTER = 64
"""Images that a process of a cluster gets at a time: a few whole calls of a model, the same as here."""


def predict(
    deployed: Deployed,
    inputs: list[str],
    *,
    top: int = 5,
    batch_size: int | None = None,
    workers: int = 2,
    start: int = 0,
    reporter: Reporter | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields one object per image, in order: {"path", "label", "probability", "top"} or {"path", "error"}.

    Each image is a query under every page of the prompt. What a remote model has answered is in its ledger: a second
    call yields it without a query. An image that it refuses has an error, the others go on.

    Args:
        deployed: From `deploy`.
        inputs: Image files and folders, of this machine or of a store; all are counted before the model is queried,
            and listed as they come.
        top: How many classes to list.
        batch_size: Images per call; None for what suits the model.
        workers: Threads that decode images.
        start: How many images are left out, the first ones.
        reporter: Receives which model is queried.

    Raises:
        BudgetError: A remote model would have to be queried more than the budget allows.
        EndpointError: It refuses several images in a row, or does not answer.
    """

    def images() -> Iterator[tuple[str, Callable[[], Image.Image]]]:
        return itertools.islice(itertools.chain.from_iterable(map(each_image, inputs)), start, None)

    total = sum(1 for _ in images())
    deployed.model.announce(total * len(deployed.prompt.pages), (reporter or Silent()).note)
    yield from _predict(deployed, images(), top=top, size=batch_size or deployed.model.chunk, workers=workers)


def predict_on_cluster(
    address: str,
    load: Callable[[], Deployed],
    deployed: Deployed,
    inputs: list[str],
    *,
    top: int = 5,
    workers: int = 2,
    start: int = 0,
) -> Iterator[dict[str, Any]]:
    """Returns what `predict` yields, from copies of a local model in the processes of a Ray cluster.

    Args:
        address: Of the cluster.
        load: Returns such a copy, in each process.
        deployed: The same model here, which counts their queries.
        inputs: Image files and folders; for the others see `predict`.

    Raises:
        ConfigError: The model is behind a URL.
    """
    from ...bulk.cluster import map_batches
    from ...models import DirectQuerier

    if not isinstance(deployed.model, DirectQuerier):
        raise ConfigError(
            "a model behind a URL is asked from one process, which owns the ledger and the budget; leave out --ray. "
            "Its own --concurrency and --rate say how fast it is asked."
        )

    def make() -> Callable[[Any], Any]:
        own = load()

        def work(texts: list[str]) -> tuple[list[dict[str, Any]], int]:
            before, places = own.model.queries, map(locate, texts)
            images = ((str(place), partial(open_at, place)) for place in places)
            lines = list(_predict(own, images, top=top, size=own.model.chunk, workers=workers))
            return lines, own.model.queries - before

        return work

    places = itertools.islice(itertools.chain.from_iterable(image_places(locate(name)) for name in inputs), start, None)
    texts = (place.url if isinstance(place, StoreFile) else str(place) for place in places)
    batches = iter(lambda: list(itertools.islice(texts, _ON_CLUSTER)), [])
    return _counted(map_batches(address, batches, make, gpu=True), deployed.model)


def _counted(results: Iterator[tuple[list[dict[str, Any]], int]], model: DirectQuerier) -> Iterator[dict[str, Any]]:
    for lines, queries in results:
        model.count(queries)
        yield from lines


def _predict(
    deployed: Deployed, images: Iterable[tuple[str, Callable[[], Image.Image]]], *, top: int, size: int, workers: int
) -> Iterator[dict[str, Any]]:
    waiting = iter(images)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        batches = iter(lambda: list(itertools.islice(waiting, size)), [])
        opened = ((batch, _begin_canvases(deployed, [opener for _, opener in batch], pool)) for batch in batches)
        for batch, canvases in _one_ahead(opened):  # the next images are decoded while the model answers
            for (name, _), line in zip(batch, _lines(deployed, list(canvases), top), strict=True):
                yield {"path": name, **line}


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields items, each when the one after it has been taken."""
    for item, _ in itertools.pairwise(itertools.chain(items, [None])):
        if item is not None:
            yield item


def predict_each(
    deployed: Deployed, openers: Sequence[Callable[[], Image.Image]], pool: Executor, *, top: int = 5
) -> Iterator[dict[str, Any]]:
    """Yields {"label", "probability", "top"} or {"error"} for each image, in order; otherwise as `predict`.

    Args:
        deployed: From `deploy`.
        openers: Each returns an upright RGB image, or raises an ImageError.
        top: How many classes to list.
    """
    yield from _lines(deployed, list(_begin_canvases(deployed, openers, pool)), top)


def _begin_canvases(
    deployed: Deployed, openers: Sequence[Callable[[], Image.Image]], pool: Executor
) -> Iterator[_Canvases]:
    """Has a pool make the canvases of images, and yields them: of each page, and of the student where there is one."""
    students = [] if deployed.student is None else [deployed.student.canvas]
    wanted = [*(page.canvas for page in deployed.prompt.pages), *students]

    def canvases(opener: Callable[[], Image.Image]) -> _Canvases:
        try:
            image = opener()
            return [canvas.make(image) for canvas in wanted]
        except ImageError as error:
            return error

    return pool.map(canvases, openers)


def _lines(deployed: Deployed, canvas_lists: Sequence[_Canvases], top: int) -> Iterator[dict[str, Any]]:
    pages: Sequence[Page] = deployed.prompt.pages
    readable = [item for item in canvas_lists if not isinstance(item, ImageError)]
    views = [
        page.overlay(np.stack([item[number] for item in readable])) for number, page in enumerate(pages) if readable
    ]
    local = np.stack([item[-1] for item in readable]) if readable and deployed.student is not None else None
    answers = iter(probabilities(deployed, views, local) if readable else [])
    for item in canvas_lists:
        shares = str(item) if isinstance(item, ImageError) else next(answers)
        if isinstance(shares, str):
            yield {"error": shares}
            continue
        # By share alone: the sort is stable, so a tie goes to the first class, as it does in `evaluate`.
        named = sorted(zip(shares.tolist(), deployed.classes, strict=True), key=lambda pair: -pair[0])[:top]
        yield {
            "label": named[0][1],
            "probability": round(named[0][0], 6),
            "top": [{"label": label, "probability": round(share, 6)} for share, label in named],
        }
