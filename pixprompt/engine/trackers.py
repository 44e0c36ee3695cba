"""A run's history in the trackers that people keep open: TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .progress import Reporter
from .result import RUNGS, Result

__all__ = ["TRACKERS", "Tracked", "Tracker"]


class Tracker(Protocol):
    """Receives numbers by name."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Receives the numbers of a step: an epoch or, of a search by answers, the queries so far."""
        ...

    def close(self) -> None:
        """Writes what is left."""
        ...


class _TensorBoard:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder / "tensorboard"))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(dir=str(folder), name=folder.name, config=dict(settings))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _WeightsAndBiases,
}
"""Name -> what makes a tracker of a run directory and its settings.

TensorBoard's event files are below the run directory; of Weights & Biases, its own environment variables name the
project, the key and the mode.
"""


class Tracked:
    """A `Reporter` that passes everything on to another, and the history to trackers.

    Args:
        names: Of TRACKERS. They are opened with the first line of history: a run directory begins empty.

    Raises:
        ModuleNotFoundError: A tracker's package is not installed.
    """

    def __init__(self, reporter: Reporter, names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> None:
        for name in names:
            importlib.import_module(name)
        self._reporter, self._step = reporter, 0
        self._names, self._folder, self._settings = names, folder, settings
        self._trackers: list[Tracker] = []

    def stage(self, name: str, total: int) -> None:
        """See `Reporter`."""
        self._reporter.stage(name, total)

    def advance(self, steps: int = 1) -> None:
        """See `Reporter`."""
        self._reporter.advance(steps)

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self._reporter.note(text)

    def epoch(self, line: Mapping[str, float]) -> None:
        """Logs a line of history under its names; its step is the epoch, or the queries so far."""
        self._reporter.epoch(line)
        self._step = round(line["epoch"] if "epoch" in line else line["queries"])
        self._log({name: value for name, value in line.items() if name != "epoch"})

    def result(self, result: Result) -> None:
        """Logs the ladder, as <rung>/val and <rung>/test."""
        scores = {name: result.accuracy.get(name) for name in RUNGS}
        numbers = {
            f"{name}/{split}": value
            for name, score in scores.items()
            if score is not None
            for split, value in (("val", score.val), ("test", score.test))
            if value is not None
        }
        self._log(numbers)

    def close(self) -> None:
        """Closes the trackers."""
        for tracker in self._trackers:
            tracker.close()

    def _log(self, numbers: Mapping[str, float]) -> None:
        self._trackers = self._trackers or [TRACKERS[name](self._folder, self._settings) for name in self._names]
        for tracker in self._trackers:
            tracker.log(numbers, self._step)
