"""Canvases of sets that are too large to decode before a run begins: decoded as they are read, and a little ahead."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ...canvas import Canvas
from ...core import DataError
from ..image_set import ImageSet
from .blocks import CanvasOrReason, canvas_or_reason
from .rows import Rows
from .store import CanvasStore

__all__ = ["StreamedRows"]

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_AHEAD = 64
"""Images that are decoded before they are asked for, at most, for each thread."""
_BATCH_BYTES = 2**25
"""Canvases are written to the store in batches of about that size."""


class StreamedRows(Rows):
    """Canvases (N, H, W, 3) uint8; a row that no store holds is decoded when it is indexed.

    What is decoded goes into the store, which drops its oldest rows. In place of an image that cannot be read stands
    the next one of its class, and a warning says so.

    Args:
        images: N images.
        digests: Of their keys, as the store knows them.
        canvas: How an image becomes a canvas.
        store: Of canvases decoded before.
        workers: Threads that decode.
    """

    def __init__(
        self, images: ImageSet, digests: Sequence[str], canvas: Canvas, store: CanvasStore, workers: int
    ) -> None:
        self.shape = (len(images), *canvas.size, 3)
        self._images, self._digests, self._canvas, self._store = images, digests, canvas, store
        self._pool = ThreadPoolExecutor(max(1, workers))
        self._most = _AHEAD * max(1, workers)
        self._expected: deque[int] = deque()
        self._has_order = False
        self._pending: dict[str, Future[CanvasOrReason]] = {}
        self._unsaved: dict[str, CanvasOrReason] = {}
        self._reported: set[int] = set()
        self._lock = threading.RLock()
        weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def expect(self, order: Iterable[int]) -> None:
        """See `Rows`."""
        with self._lock:
            self._expected, self._has_order = deque(int(index) for index in order), True
            self._read_ahead()

    def _read(self, indices: npt.NDArray[np.int64], rows: Pixels) -> None:
        flat = indices.tolist()
        with self._lock:
            self._take(flat)
            for index in flat:
                self._start(index)
            for number, index in enumerate(flat):
                rows[number] = self._row(index)
            self._read_ahead()

    def _take(self, indices: list[int]) -> None:
        """Crosses off what was expected; where something else is read in order, what comes after it is expected."""
        if self._has_order and self._expected and indices[:1] == [self._expected[0]]:
            for _ in range(min(len(indices), len(self._expected))):
                self._expected.popleft()
        elif indices and indices == list(range(indices[0], indices[0] + len(indices))):
            self._has_order = False
            self._expected = deque(range(indices[-1] + 1, min(len(self), indices[-1] + 1 + self._most)))

    def _read_ahead(self) -> None:
        for index in list(self._expected)[: self._most]:
            if len(self._pending) >= self._most:
                break
            self._start(index)

    def _start(self, index: int) -> None:
        digest = self._digests[index]
        if digest not in self._pending and digest not in self._store and digest not in self._unsaved:
            self._pending[digest] = self._pool.submit(canvas_or_reason, self._images, self._canvas, index)

    def _row(self, index: int) -> Pixels:
        tried = index
        result = self._canvas_or_reason(index)
        while isinstance(result, str):
            self._report(tried, result)
            tried = self._next_of_class(tried, index)
            result = self._canvas_or_reason(tried)
        return result

    def _canvas_or_reason(self, index: int) -> CanvasOrReason:
        digest = self._digests[index]
        if digest in self._unsaved:
            return self._unsaved[digest]
        stored = self._store.get(digest)
        if stored is not None:
            return stored
        self._start(index)
        future = self._pending.pop(digest, None)
        result = future.result() if future is not None else canvas_or_reason(self._images, self._canvas, index)
        self._unsaved[digest] = result
        if len(self._unsaved) * int(np.prod(self.shape[1:])) > _BATCH_BYTES:
            self._store.add(self._unsaved, for_now=True)
            self._unsaved = {}
        return result

    def _next_of_class(self, index: int, first: int) -> int:
        same = np.flatnonzero(self._images.labels == self._images.labels[first])
        following = int(same[(np.searchsorted(same, index) + 1) % len(same)])
        if following == first:
            raise DataError(f"{self._images.names[first]}: neither it nor another image of its class can be read.")
        return following

    def _report(self, index: int, reason: str) -> None:
        if index not in self._reported:
            self._reported.add(index)
            logger.warning("%s: %s; the next image of its class stands in for it.", self._images.names[index], reason)
