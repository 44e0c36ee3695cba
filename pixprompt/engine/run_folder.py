"""The folder of a run: claimed by one run, continued by the same one, finished when `result.json` is written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..core import ConfigError
from ..files import make_folder, write_bytes, write_json
from ..files.lock import FileLock

__all__ = ["RunFolder", "identity"]

_LOCK = ".run"
_TEMPORARY = ".*.tmp"
"""What `write_bytes` leaves where a run is killed in the midst of it."""


def identity(**facts: Any) -> str:
    """Returns a digest of what the results of a run depend on, facts in JSON."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run; within `with`, no other process works in it.

    Attributes:
        resumed: Whether an earlier session has begun it.
    """

    path: Path
    resumed: bool = False
    _locks: list[FileLock] = field(default_factory=list, repr=False, compare=False)

    def __enter__(self) -> Self:
        """Begins work; one that continues a run waits for nobody, and clears away what a kill has left.

        Raises:
            PixpromptError: Another process works in the folder.
        """
        if self.resumed:
            self._lock()
            for temporary in self.path.rglob(_TEMPORARY):
                temporary.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._locks:
            self._locks.pop().release()

    def _lock(self) -> None:
        self._locks.append(FileLock(self.path / _LOCK, str(self.path)))

    @classmethod
    def open(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """Opens a folder that is new or empty, or one with a run to be continued.

        Raises:
            ConfigError: A new run is to begin in a folder that is not empty.
        """
        folder = cls(Path(path), resume)
        if not resume and folder.path.is_dir() and any(not each.match(_TEMPORARY) for each in folder.path.iterdir()):
            raise ConfigError(f"{path} is not empty. Choose another --out, or continue the run there with --resume.")
        return folder

    @property
    def result(self) -> Path:
        """The result; a run that has it is finished."""
        return self.path / "result.json"

    @property
    def is_claimed(self) -> bool:
        """Whether a run works in it, or was killed there."""
        return (self.path / f"{_LOCK}-lock").exists()

    def checkpoint(self, name: str) -> Path:
        """Returns the path of a file that `--resume` needs."""
        return self.path / "checkpoint" / name

    def claim(self, config: Mapping[str, Any]) -> None:
        """Makes the folder this run's own and writes the configuration; of two runs that start at once one is refused.

        Raises:
            ConfigError: Another run has claimed it meanwhile.
        """
        make_folder(self.path)
        path, temporary = self.path / "config.json", self.path / f".config-{os.urandom(8).hex()}.json.tmp"
        if self.resumed:
            write_json(path, config)
            return
        write_json(temporary, config)
        try:
            os.link(temporary, path)  # at once and whole: a run that is killed here has claimed nothing, or can resume
        except FileExistsError as error:
            raise ConfigError(f"another run has just started in {self.path}. Choose another --out.") from error
        except OSError:
            write_json(path, config)  # a file system without links; two runs at once go unnoticed there
        finally:
            temporary.unlink(missing_ok=True)
        self._lock()

    def check_identity(self, stored: str | None, own: str) -> None:
        """Makes sure that what an earlier session wrote belongs to this run; None stands for nothing.

        Raises:
            ConfigError: It belongs to another run.
        """
        if stored not in (None, own):
            raise ConfigError(
                f"{self.path} was started with other images, classes, settings, weights or another model than these, "
                "or in another order. Bring those back, or start a new run."
            )

    def write_history(self, lines: Sequence[Mapping[str, float]]) -> None:
        """Writes `history.jsonl`, a line per epoch or validation, all at once."""
        write_bytes(self.path / "history.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())

    def write_result(self, values: Mapping[str, Any]) -> None:
        """Writes `result.json`, the last file of a run."""
        write_json(self.result, values)
