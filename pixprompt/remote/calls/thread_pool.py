"""Several requests at a time, in threads whose work is never cut short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from .clock import Stopped

__all__ = ["run_concurrently"]

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_WAKE = 0.5
"""Seconds until a Ctrl-C is seen that came while the main thread was falling asleep, or that another thread took."""


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
    pool, futures, state = ThreadPoolExecutor(min(at_once, len(parts))), list[Future[None]](), _State()
    try:
        for part in parts:
            futures.append(pool.submit(state.follow, work, part))
        state.wait(lambda: state.failed or len(state.ended) == len(parts))
    except KeyboardInterrupt:
        stop()
        _LOG.warning("finishing %d requests that are under way (up to %g s), then stopping.", state.num_busy, timeout)
        raise
    finally:
        _finish(pool, state, stop)
    errors = [future.exception() for future in futures if not future.cancelled()]
    error = next((each for each in errors if each is not None and not isinstance(each, Stopped)), None)
    if error is not None:
        raise error


class _State:
    """What was begun and has ended. A Ctrl-C may end a wait for it anywhere, and leaves no lock behind.

    A thread or a future cannot be waited for: Python forgets that it runs, or holds its lock for ever, where a Ctrl-C
    comes at the wrong moment. Adding to a list, and this queue, cannot be cut in two.
    """

    def __init__(self) -> None:
        self.begun: list[None] = []
        self.ended: list[None] = []
        self.failed = False
        self._changes: SimpleQueue[None] = SimpleQueue()

    @property
    def num_busy(self) -> int:
        return len(self.begun) - len(self.ended)

    def follow(self, work: Callable[[T], None], part: T) -> None:
        self.begun.append(None)
        try:
            work(part)
        except BaseException:
            self.failed = True
            raise
        finally:
            self.ended.append(None)
            self._changes.put(None)

    def wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            with suppress(Empty):
                self._changes.get(timeout=_WAKE)


def _finish(pool: ThreadPoolExecutor, state: _State, stop: Callable[[], None]) -> None:
    interrupted = False
    while True:
        try:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            state.wait(lambda: not state.num_busy)
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
