"""Putting a prompt on images, several at a time: Pillow decodes, resizes and encodes outside the interpreter's lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from PIL import Image

from ..canvas import MAX_PIXELS, Pixels
from ..core import ConfigError, ImageError
from ..prompt import Pages
from ..stores import Location, StoreFile, open_at, write_at
from .jobs import Job

__all__ = ["PixelRoom", "Prompter", "check_written"]


class PixelRoom:
    """Bounds the pixels that all threads decode at the same time; one image alone may always be decoded."""

    def __init__(self, limit: int = MAX_PIXELS) -> None:
        self._limit, self._used, self._changed = limit, 0, threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of so many pixels."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._limit)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


class Prompter:
    """Puts a prompt on images.

    Args:
        encode: Prompted canvas, (H, W, 3) uint8 -> the bytes of a file.
    """

    def __init__(self, prompt: Pages, encode: Callable[[Pixels], bytes]) -> None:
        self.prompt, self.encode, self._room = prompt, encode, PixelRoom()

    def contents(self, opener: Callable[..., Image.Image]) -> list[bytes]:
        """Returns the files of an image, one for each page of the prompt.

        Args:
            opener: Returns an upright RGB image; is given `admit`, as of `decode`.

        Raises:
            ImageError: It cannot be read.
        """
        with ExitStack() as stack:
            image = opener(admit=lambda pixels: stack.enter_context(self._room.take(pixels)))
            canvases = [page.canvas.make(image) for page in self.prompt.pages]
        return [self.encode(page.overlay(canvas)) for page, canvas in zip(self.prompt.pages, canvases, strict=True)]

    def work(self, job: Job) -> str | None:
        """Writes the files of an image, and returns None, or the reason why it cannot be read.

        Raises:
            PixpromptError: A file cannot be written.
        """
        try:
            contents = self.contents(partial(open_at, job.source))
        except ImageError as error:
            return str(error).removeprefix(f"{job.source}: ")
        for target, content in zip(job.targets, contents, strict=True):
            write_at(target, content)
        return None

    def work_all(self, jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, str | None]]:
        """Works through jobs on several threads and yields them in order.

        Args:
            workers: How many images are worked on at a time.

        Yields:
            Each job with None, or with the reason why its image cannot be read.

        Raises:
            PixpromptError: A result cannot be written; no further job is begun.
        """
        waiting: deque[tuple[Job, Future[str | None]]] = deque()
        pool = ThreadPoolExecutor(workers)
        try:
            for job in jobs:
                waiting.append((job, pool.submit(self.work, job)))
                if len(waiting) >= 8 * workers:
                    future_job, future = waiting.popleft()
                    yield future_job, future.result()
            while waiting:
                future_job, future = waiting.popleft()
                yield future_job, future.result()
        finally:
            # On an error or Ctrl-C: the images at work are finished, the others are not begun.
            pool.shutdown(wait=True, cancel_futures=True)


def check_written(prompter: Prompter, job: Job) -> None:
    """Makes the results of a finished job again, to be sure that the same prompt and settings have written them.

    Raises:
        ConfigError: They are not the bytes that are there.
        ImageError: The image cannot be read any more.
    """
    contents = prompter.contents(partial(open_at, job.source))
    for target, content in zip(job.targets, contents, strict=True):
        if _read(target) != content:
            raise ConfigError(
                f"{target} is not what this prompt with these settings makes of {job.source} as it is now, so this "
                "call does not continue the one that wrote it. Leave out --resume, or choose another folder with --out."
            )


def _read(place: Location) -> bytes:
    if isinstance(place, StoreFile):
        system, path = place.reach()
        content: bytes = system.cat_file(path)
        return content
    return place.read_bytes()
