"""The progress of a run, for whoever wants to show it; the library itself never prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, Self

__all__ = ["Progress", "Reporter", "Silent"]


class Reporter(Protocol):
    """Receives the progress of a run."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins; the one before it has ended."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Steps of the stage are done."""
        ...

    def epoch(self, line: Mapping[str, float]) -> None:
        """A line was added to the history."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know."""
        ...


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def epoch(self, line: Mapping[str, float]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Progress:
    """A bar per stage, and a line per epoch and note, on stderr or in a notebook."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def stage(self, name: str, total: int) -> None:
        """Closes the bar of the last stage and opens one."""
        from tqdm.auto import tqdm

        Progress.close(self)
        if total:
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
        self.note(f"{begin}; {line['seconds']:.0f} s")

    def note(self, text: str) -> None:
        """Writes a note."""
        from tqdm.auto import tqdm

        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Removes the bar; no line follows."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
