"""How a run looks on the terminal: bars and lines on stderr, never on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click
from tqdm import tqdm

from .terminal import printable

__all__ = ["Console"]


class Console:
    """A `Reporter`: a bar per stage on a terminal, a line per stage and epoch elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: tqdm[None] | None = None

    def stage(self, name: str, total: int) -> None:
        """Closes the bar of the last stage and opens one."""
        self.close()
        if not self._terminal:
            click.echo(f"{name}: {total} images", err=True)
        elif total:
            self._bar = tqdm(total=total, desc=name, unit="img", leave=False, file=sys.stderr, dynamic_ncols=True)

    def advance(self, steps: int = 1) -> None:
        """Moves the bar."""
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
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _write(self, text: str) -> None:
        if self._bar is not None:
            tqdm.write(printable(text), file=sys.stderr)
        else:
            click.echo(printable(text), err=True)
