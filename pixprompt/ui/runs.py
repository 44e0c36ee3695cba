"""The runs below one folder: found, read, and nothing outside of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core import ConfigError, PixpromptError
from ..engine.result import Score
from ..engine.run_folder import RunFolder
from ..report.page.numbers import summary
from ..report.run_files import RunFiles, read_runs

__all__ = ["RUN_FILES", "RunLine", "RunsFolder", "Signature", "signature", "state_of"]

RUN_FILES = ("config.json", "result.json", "history.jsonl", "prompt.png", "adapter.safetensors")
"""A folder with one of these is a run."""
_FURTHER = ("ledger.sqlite", "ledger.sqlite-wal", "preview.png", "diagnosis.json", "checkpoint", ".run-lock")
"""What else of a run is shown, or says how far it is."""
_DEPTH = 3
_MAX_RUNS = 1000
_CACHED = 32
"""Runs whose files are kept in memory, each about a megabyte."""
Signature = tuple[tuple[str, int, int], ...]
"""Name, time of the last change in ns, and size of each file."""


@dataclass(frozen=True)
class RunLine:
    """A run as the list shows it.

    Attributes:
        name: Its path below the folder.
        state: "finished", "learning" or "not finished".
        changed: When a file of it last changed, in seconds since 1970.
        run: What its files hold; None for a damaged one.
        before: Test accuracy without a prompt.
        alone: Score without a prompt by the best output transform; None where that is the one of `before`.
        after: Test accuracy with what was kept.
        none_kept: Says so where no prompt was kept.
        damage: Why it cannot be read, or not wholly.
    """

    name: str
    state: str
    changed: float
    title: str = ""
    method: str = ""
    before: float | None = None
    alone: Score | None = None
    after: float | None = None
    none_kept: str | None = None
    has_prompt: bool = False
    queries: int | None = None
    cost: float | None = None
    damage: str | None = None


class RunsFolder:
    """The runs in a folder, or one run; names are paths below it.

    Args:
        folder: As the user has typed it.

    Raises:
        ConfigError: There is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; name the one that holds your run directories.")
        self._root = self.folder.resolve()
        self._read = lru_cache(_CACHED)(self._files_of)
        self._line = lru_cache(_MAX_RUNS)(self._line_of)

    def typed(self, name: str, *parts: str) -> str:
        """Returns the path of a run, or of a file in it, as one types it in a shell."""
        return shlex.quote(str(self.folder.joinpath(name, *parts)))

    def path(self, name: str) -> Path:
        """Returns the path of a run.

        Raises:
            ConfigError: There is none of that name, or its files lie elsewhere.
        """
        try:
            path = (self._root / name).resolve()
            inside = path.is_relative_to(self._root) and path.relative_to(self._root).as_posix() == name
            if not inside or not _is_run(path):
                raise ConfigError(f"there is no run {name!r} here.")
            with os.scandir(path) as entries:
                away = [entry.name for entry in entries if entry.is_symlink() and not self._holds(entry.path)]
        except (OSError, ValueError) as error:
            raise ConfigError(f"there is no run {name!r} here.") from error
        if away:
            raise ConfigError(f"{name} is not read: {', '.join(sorted(away))} lies outside of {self.folder}.")
        return path

    def file(self, name: str, file: str) -> Path:
        """Returns the path of a file in a run.

        Raises:
            ConfigError: There is none of that name.
        """
        path = self.path(name) / file
        if Path(file).name != file or not path.is_file():
            raise ConfigError(f"the run {name!r} has no file {file!r}.")
        return path

    def run(self, name: str) -> RunFiles:
        """Reads the files of a run.

        Raises:
            ConfigError: There is no run of that name.
        """
        path = self.path(name)
        return self._read(path, signature(path))

    def lines(self) -> list[RunLine]:
        """Reads all runs, what changed last first; a damaged one says why."""
        lines = (self._line(name, signature(self._root / name)) for name in self._names())
        return sorted(lines, key=lambda line: (-line.changed, line.name))

    def _files_of(self, path: Path, current: Signature) -> RunFiles:
        return read_runs([path])[0]

    def _line_of(self, name: str, current: Signature) -> RunLine:
        changed, state = max((time for _, time, _ in current), default=0) / 1e9, state_of(self._root / name)
        try:
            return RunLine(name, state, changed, **_facts(self.run(name)))
        except (PixpromptError, TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            return RunLine(name, state, changed, damage=str(error) or type(error).__name__)

    def _names(self) -> Iterator[str]:
        count = 0
        for here, folders, files in os.walk(self._root):
            path = Path(here)
            name = path.relative_to(self._root).as_posix()
            if any(file in RUN_FILES for file in files):
                folders.clear()
                if name.isprintable():  # any other cannot stand in a link
                    yield name
                    count += 1
            elif len(path.relative_to(self._root).parts) == _DEPTH or count >= _MAX_RUNS:
                folders.clear()
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            if count >= _MAX_RUNS:
                return

    def _holds(self, path: str) -> bool:
        return Path(path).resolve().is_relative_to(self._root)


def signature(path: Path) -> Signature:
    """Returns what changes whenever a run writes something."""
    facts = []
    for name in (*RUN_FILES, *_FURTHER):
        try:
            status = (path / name).stat()
        except OSError:
            continue
        facts.append((name, status.st_mtime_ns, status.st_size))
    return tuple(facts)


def state_of(path: Path) -> str:
    """Returns "finished", "learning" or "not finished"; a run that was killed may pass for one that learns."""
    folder = RunFolder(path)
    if folder.result.exists():
        return "finished"
    return "learning" if folder.is_claimed else "not finished"


def _is_run(path: Path) -> bool:
    return any((path / name).exists() for name in RUN_FILES)


def _facts(run: RunFiles) -> dict[str, Any]:
    """Returns what a line says of a run."""
    result = run.result
    facts: dict[str, Any] = {
        "title": run.title,
        "method": str(result.method if result else run.settings.get("method", "")),
        "has_prompt": run.prompt_kept,
        "damage": run.damage or None,
    }
    if result is not None:
        numbers = summary(run)
        facts |= {
            "before": _share(numbers["before"]),
            "alone": numbers["alone"],
            "after": _share(numbers["after"] and numbers["after"].test),
            "none_kept": result.none_kept,
            "queries": int(result.queries.get("images") or 0),
            "cost": _share(result.queries.get("cost")),
        }
    return facts


def _share(value: Any) -> float | None:
    return None if value is None else float(value)
