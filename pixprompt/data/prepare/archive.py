"""Unpacking an archive; what an interrupted call has unpacked already is not written again."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

from ...core import DataError

__all__ = ["is_archive", "unpack"]

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
_Member: TypeAlias = tuple[str, int, Callable[[], AbstractContextManager[IO[bytes]] | None]]
"""Name, size, and what opens it."""


def is_archive(path: Path) -> bool:
    """Whether a file is one that `unpack` takes, by its name."""
    return path.is_file() and path.name.lower().endswith(_SUFFIXES)


def unpack(archive: Path, folder: Path, on_file: Callable[[], None]) -> None:
    """Unpacks the regular files of a tar or zip archive; links and devices are passed over.

    A file counts as unpacked when it has the size that the archive says, for it gets its name only then.

    Raises:
        DataError: The archive is damaged, or names files outside the folder.
    """
    try:
        for name, size, open_member in _members(archive):
            target = folder / _inside(archive, name)
            if not (target.is_file() and target.stat().st_size == size):
                _write(open_member, target)
                if target.stat().st_size != size:
                    raise EOFError(f"{name} ends too early")
            on_file()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{folder}: cannot unpack {archive.name} there ({error.strerror}).") from error
        raise DataError(f"{archive}: damaged or incomplete ({error}); get it again.") from error
    except RuntimeError as error:  # of zipfile: a password, or a compression that it does not know
        raise DataError(f"{archive}: cannot be unpacked here ({error}); unpack it yourself.") from error


def _members(archive: Path) -> Iterator[_Member]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as pack:
            for info in pack.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: pack.open(info)  # type: ignore[misc]
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, member.size, lambda member=member: tar.extractfile(member)  # type: ignore[misc]


def _inside(archive: Path, name: str) -> Path:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0].startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DataError(f"{archive}: names {name!r}, which lies outside; this is no archive to trust.")
    return Path(*parts)


def _write(open_member: Callable[[], AbstractContextManager[IO[bytes]] | None], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    source = open_member()
    if source is None:
        raise EOFError(f"{target.name} has no content")
    with source as content, open(partial, "wb") as file:
        shutil.copyfileobj(content, file, 2**20)
    os.replace(partial, target)
