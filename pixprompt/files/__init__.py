"""Writing files so that a crash, a full disk or a kill never leaves half of one behind."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core import PixpromptError

__all__ = [
    "MAX_JSON_BYTES",
    "file_sha256",
    "make_folder",
    "open_regular",
    "read_json",
    "read_text",
    "write_bytes",
    "write_json",
]


MAX_JSON_BYTES = 64 * 2**20
"""A larger JSON file was not written by this package."""


def make_folder(path: Path) -> Path:
    """Creates a folder with its parents and returns it.

    Raises:
        PixpromptError: It cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixpromptError(
            f"cannot create the folder {path}: {error.strerror}. Choose another place with --out."
        ) from error
    if not os.access(path, os.W_OK):
        raise PixpromptError(f"the folder {path} is not writable. Choose another place with --out.")
    return path


def open_regular(path: str | Path) -> io.BufferedReader:
    """Opens a file for reading; a pipe, socket or device of that name is refused at once, where reading could hang.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file but a pipe, socket or device", str(path))


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    r"""Reads a text file, whose lines end in \n then; see `open_regular`.

    Raises:
        OSError: It cannot be read, or is no regular file.
        UnicodeDecodeError: It is no text.
    """
    with open_regular(path) as file:
        return file.read().decode(encoding).replace("\r\n", "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file of at most MAX_JSON_BYTES.

    Raises:
        OSError: It cannot be opened, or is no regular file.
        ValueError: It is larger, no JSON (NaN and infinity are none), or nested too deeply.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    with open_regular(path) as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replaces a file at once: readers see the old content or the new one, nothing between.

    Args:
        path: The file; its folder exists.
        durable: Waits until the disk has it, so that a power cut cannot lose it either; costs milliseconds.

    Raises:
        PixpromptError: The content cannot be written; the old file is intact.
    """
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise PixpromptError(
            f"cannot write {path}: {error.strerror}. Free some space or choose another place with --out."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented, with a newline at its end."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def file_sha256(path: str | Path) -> str:
    """Returns the SHA-256 digest of a file's content, in hexadecimal.

    Raises:
        PixpromptError: The file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PixpromptError(f"cannot read {path}: {error.strerror}.") from error
