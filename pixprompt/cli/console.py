"""How a run looks on the terminal: bars and lines on stderr, never on stdout."""

from __future__ import annotations

import sys
import threading
import time

import click
from tqdm import tqdm

from ..engine.progress import Progress
from .terminal import printable

__all__ = ["Console"]


class Console(Progress):
    """A `Reporter`: a bar per stage on a terminal; elsewhere a line per stage and epoch, and one in between.

    Args:
        interval: Seconds without a line after which one says how far the stage is, where there is no bar.
    """

    def __init__(self, interval: float = 30) -> None:
        super().__init__()
        self._terminal = sys.stderr.isatty()
        self._name, self._total, self._done = "", 0, 0
        self._began = self._last_line = time.monotonic()
        self._interval, self._closed = interval, threading.Event()
        self._watch: threading.Thread | None = None

    def stage(self, name: str, total: int) -> None:
        """Closes the bar of the last stage and opens one; elsewhere begins to say how far it is."""
        self._name, self._total, self._done, self._began = name, total, 0, time.monotonic()
        if self._terminal:
            super().stage(name, total)
            return
        self.note(f"{name}: {total} images")
        if self._watch is None:
            self._watch = threading.Thread(target=self._report_regularly, daemon=True)
            self._watch.start()

    def advance(self, steps: int = 1) -> None:
        """Moves the bar."""
        self._done += steps
        super().advance(steps)

    def note(self, text: str) -> None:
        """Writes a note."""
        self._last_line = time.monotonic()
        if self._bar is not None:
            tqdm.write(printable(text), file=sys.stderr)
        else:
            click.echo(printable(text), err=True)

    def close(self) -> None:
        """Removes the bar; no line follows."""
        self._closed.set()
        super().close()

    def _report_regularly(self) -> None:
        wait = self._interval
        while not self._closed.wait(wait):
            wait = self._last_line + self._interval - time.monotonic()
            if wait <= 0:
                seconds, steps = time.monotonic() - self._began, self._done
                left = f", {seconds / steps * (self._total - steps):.0f} s left" if 0 < steps < self._total else ""
                # Some stages cannot know it all beforehand.
                whole = f" of {self._total}" if steps <= self._total else ""
                self.note(f"{self._name}: {steps}{whole} images in {seconds:.0f} s{left}")
                wait = self._interval
