"""A lock on a file: one process at a time."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from ..core import PixpromptError

if sys.platform != "win32":
    import fcntl

__all__ = ["FileLock"]


class FileLock:
    """Holds something for this process, by a lock on the file PATH-lock beside it, which ends with the process.

    It is a file of its own since SQLite loses its locks on a file when anything else in the process closes it. Within
    the process the same thing may be held any number of times.

    Args:
        path: What is held.
        name: For messages; the path by default.

    Attributes:
        is_first: Whether nothing else in the process held it before.

    Raises:
        PixpromptError: Another process holds it.
    """

    _held: ClassVar[dict[tuple[int, Path], tuple[int, int]]] = {}
    """By process, since a fork inherits this: an open file, and how often it is held."""
    _guard: ClassVar[Any] = threading.RLock()

    def __init__(self, path: Path, name: str | None = None) -> None:
        self._path = path.absolute().with_name(f"{path.name}-lock")
        self._key = -1, self._path  # of nothing, until it is held
        key = os.getpid(), self._path
        with self._guard:
            file, count = self._held.get(key, (-1, 0))
            self.is_first = count == 0
            self._held[key] = (file if count else self._locked(name or str(path)), count + 1)
            self._key = key

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Lets others have it; a second time does nothing."""
        with self._guard:
            key, self._key = self._key, (-1, self._path)
            file, count = self._held.pop(key, (-1, 0))
            if count > 1:
                self._held[key] = (file, count - 1)
            elif count and key[0] == os.getpid():
                with suppress(OSError):
                    self._path.unlink()
                os.close(file)

    def _locked(self, name: str) -> int:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise PixpromptError(
                    f"cannot write beside {self._path} ({error}). Is its folder there and writable?"
                ) from error
            try:
                _lock(file)
                if os.path.samestat(os.fstat(file), os.stat(self._path)):
                    return file
            except BlockingIOError:
                os.close(file)
                raise PixpromptError(f"{name} is in use by another process. Let it finish, or stop it.") from None
            except FileNotFoundError:
                pass  # whoever held it has just taken it away
            os.close(file)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        return  # no such locks; two processes at once go unnoticed there, or show at their first request
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks
