"""What a user has said once and for all, in files of the user alone: tables of a name and the words that go with it."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core import ConfigError

if sys.platform != "win32":
    import fcntl

__all__ = ["add_setting", "read_settings", "remove_setting", "settings_file"]

Table = dict[str, list[str]]


def settings_file(name: str) -> Path:
    """Returns the path of a table: pixprompt/NAME.json in the user's folder of settings."""
    folder = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return Path(folder or Path.home() / ".config") / "pixprompt" / f"{name}.json"


def read_settings(name: str) -> Table:
    """Returns a table; an empty one where nothing was said yet.

    Raises:
        ConfigError: The file is damaged, or others than the user may write to it.
    """
    path = settings_file(name)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}.") from error
    if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise ConfigError(f"others may write to {path}, which says what you allow. Mend that: chmod 600 {path}")
    try:
        table = dict(json.loads(content)[name])
        return {str(key): [str(word) for word in words] for key, words in table.items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged ({error}). Remove it, and say again what you allow.") from error


def add_setting(name: str, key: str, word: str) -> None:
    """Adds a word to those of a key.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    _change(name, lambda table: {**table, key: sorted({*table.get(key, ()), word})})


def remove_setting(name: str, key: str) -> None:
    """Removes a key with all its words.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    _change(name, lambda table: {each: words for each, words in table.items() if each != key})


def _change(name: str, change: Callable[[Table], Table]) -> None:
    path = settings_file(name)
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            table = change(read_settings(name))
            new.unlink(missing_ok=True)
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(file, "w", encoding="utf-8") as stream:
                json.dump({name: table}, stream, indent=2)
            new.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}.") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time change a file."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
