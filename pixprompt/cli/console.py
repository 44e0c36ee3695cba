"""How a run looks on the terminal: bars and lines on stderr, never on stdout."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping

import click
from tqdm import tqdm

from .terminal import printable

__all__ = ["Console"]


class Console:
    """A `Reporter`: a bar per stage on a terminal; elsewhere a line per stage and epoch, and one in between.

    Args:
        interval: Seconds without a line after which one says how far the stage is, where there is no bar.
    """

    def __init__(self, interval: float = 30) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: tqdm[None] | None = None
        self._name, self._total, self._done = "", 0, 0
        self._began = self._last_line = time.monotonic()
        self._interval, self._closed = interval, threading.Event()
        self._watch: threading.Thread | None = None

    def stage(self, name: str, total: int) -> None:
        """Closes the bar of the last stage and opens one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._name, self._total, self._done, self._began = name, total, 0, time.monotonic()
        if self._terminal and total:
            self._bar = tqdm(total=total, desc=name, unit="img", leave=False, file=sys.stderr, dynamic_ncols=True)
        if not self._terminal:
            self._write(f"{name}: {total} images")
            if self._watch is None:
                self._watch = threading.Thread(target=self._say_how_far, daemon=True)
                self._watch.start()

    def advance(self, steps: int = 1) -> None:
        """Moves the bar."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)

    def epoch(self, line: Mapping[str, float]) -> None:
        """Writes a line of history."""
        if "epoch" in line:
            begin = f"epoch {line['epoch']:.0f}: train loss {line['train_loss']:.3f}, "
            begin += f"accuracy {line['train_accuracy']:.3f}"
        else:
            begin = f"{line['queries']:.0f} queries: train loss {line['train_loss']:.3f}"
        if "val_loss" in line:
            begin += f"; val loss {line['val_loss']:.3f}, accuracy {line['val_accuracy']:.3f}"
        self._write(f"{begin}; {line['seconds']:.0f} s")

    def note(self, text: str) -> None:
        """Writes a note."""
        self._write(text)

    def close(self) -> None:
        """Removes the bar; no line follows."""
        self._closed.set()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _write(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._bar is not None:
            tqdm.write(printable(text), file=sys.stderr)
        else:
            click.echo(printable(text), err=True)

    def _say_how_far(self) -> None:
        wait = self._interval
        while not self._closed.wait(wait):
            wait = self._last_line + self._interval - time.monotonic()
            if wait <= 0:
                seconds, steps = time.monotonic() - self._began, self._done
                left = f", {seconds / steps * (self._total - steps):.0f} s left" if 0 < steps < self._total else ""
                whole = (
                    f" of {self._total}" if steps <= self._total else ""
                )  # some stages cannot know it all beforehand
                self._write(f"{self._name}: {steps}{whole} images in {seconds:.0f} s{left}")
                wait = self._interval
