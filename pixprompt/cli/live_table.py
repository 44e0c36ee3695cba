"""A benchmark on the terminal: its table, filled in as cells end, and a line that says what is under way."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from .terminal import printable

if TYPE_CHECKING:
    from ..bench.run import Update

__all__ = ["LiveTable"]

_PAUSE = 0.2
"""Seconds between two states of the line."""


class LiveTable:
    """A `Reporter` on stderr: on a terminal the table, drawn anew; elsewhere a line per run that begins."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._table: list[str] = []
        self._num_drawn, self._last = 0, 0.0
        self._stage, self._done, self._total, self._epoch = "", 0, 0, ""
        self._running: tuple[str, ...] = ()

    def update(self, update: Update) -> None:
        """Takes the table, the runs under way and the failures."""
        from ..bench.text import wide_rows

        rows = wide_rows(update.summary)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        counts = f"{update.summary.done} of {update.summary.total} runs, {len(update.failures)} failed"
        self._table, self._running = [*lines, counts], update.running
        self._draw(at_once=True)

    def stage(self, name: str, total: int) -> None:
        """Shows a stage of the run in this process."""
        self._stage, self._done, self._total = name, 0, total
        self._draw()

    def advance(self, steps: int = 1) -> None:
        """Counts steps of the stage."""
        self._done += steps
        self._draw()

    def epoch(self, line: Mapping[str, float]) -> None:
        """Shows the scores of the last line of history."""
        number = line.get("epoch", line.get("queries", 0))
        self._epoch = f"{number:.0f}: " + ", ".join(
            f"{name.replace('_', ' ')} {line[name]:.3f}" for name in ("val_accuracy", "val_miou") if name in line
        )
        self._draw()

    def note(self, text: str) -> None:
        """Writes a note where nothing is drawn."""
        if not self._terminal:
            click.echo(printable(text), err=True)

    def close(self) -> None:
        """Removes what is drawn: the table itself is printed at the end."""
        with self._lock:
            self._erase()

    def _draw(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not self._terminal or (now - self._last < _PAUSE and not at_once):
            return
        with self._lock:
            self._last = now
            self._erase()
            size = shutil.get_terminal_size()
            lines = [*self._table[: size.lines - 3], self._under_way()]
            click.echo("\n".join(printable(line)[: size.columns - 1] for line in lines), err=True)
            self._num_drawn = len(lines)

    def _under_way(self) -> str:
        progress = f" · {self._stage} {self._done}/{self._total} · {self._epoch}" if self._stage else ""
        return "running: " + "; ".join(self._running) + progress if self._running else ""

    def _erase(self) -> None:
        if self._num_drawn:
            click.echo(f"\x1b[{self._num_drawn}A\x1b[J", nl=False, err=True)
            self._num_drawn = 0
