"""Several requests at a time, in threads whose work is never cut short."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .clock import Stopped

__all__ = ["run_concurrently"]

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


def run_concurrently(
    work: Callable[[T], None], parts: Sequence[T], *, at_once: int, stop: Callable[[], None], timeout: float
) -> None:
    """Does work on every part; after the first error, or Ctrl-C, what is under way is finished and nothing is begun.

    Further Ctrl-C does not cut that short: what is under way is paid for.

    Args:
        work: What to do with a part; after `stop` it begins nothing any more.
        parts: In the order in which they are begun.
        at_once: The most that are under way at the same time.
        stop: Tells the work to begin nothing.
        timeout: Seconds that one part may still take, for the message.

    Raises:
        KeyboardInterrupt: Somebody wants to stop.
        Exception: The first error of a part, in their order.
    """
    if not parts:
        return
    # In threads of their own even if there is one only: Ctrl-C reaches the main thread, and must not cut an answer.
    pool, futures, busy = ThreadPoolExecutor(min(at_once, len(parts))), list[Future[None]](), _Busy()
    try:
        for part in parts:
            futures.append(pool.submit(busy.count, work, part))
        wait(futures, return_when=FIRST_EXCEPTION)
    except KeyboardInterrupt:
        stop()
        _LOG.warning("finishing %d requests that are under way (up to %g s), then stopping.", busy.number, timeout)
        raise
    finally:
        _finish(pool, busy, stop)
    errors = [future.exception() for future in futures if not future.cancelled()]
    error = next((each for each in errors if each is not None and not isinstance(each, Stopped)), None)
    if error is not None:
        raise error


class _Busy:
    """Counts what is under way; a thread cannot be waited for, since a Ctrl-C makes Python forget that it runs."""

    def __init__(self) -> None:
        self.number = 0
        self._changed = threading.Condition()

    def count(self, work: Callable[[T], None], part: T) -> None:
        with self._changed:
            self.number += 1
        try:
            work(part)
        finally:
            with self._changed:
                self.number -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.number == 0)


def _finish(pool: ThreadPoolExecutor, busy: _Busy, stop: Callable[[], None]) -> None:
    interrupted = False
    while True:
        try:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            busy.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
