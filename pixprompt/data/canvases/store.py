"""The store of canvases: an image is decoded once for a canvas setting, whichever data set, seed or split needs it.

There is one folder per canvas setting, and a row for each image by the digest of its key. A writer appends to a pair
of files of its own, so that runs beside each other need no locks: NAME.rows holds canvases, one after another;
NAME.index has a line per image in the same order, the digest alone, or digest and reason of an image that cannot be
read and has no row. Lines are written when their rows have reached the disk; rows without a line do not count.
Rows are written, never mapped, while a file grows: a full disk is then an error to handle instead of a crash.
All settings together take at most $PIXPROMPT_CACHE_GB (20) gigabytes: the pairs that were used longest ago are removed.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core import ConfigError, DataError
from .rows import CanvasRows

__all__ = ["CanvasStore", "cache_limit"]

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_DIGEST = re.compile("[0-9a-f]{32}")
_MEMORY = ""
"""Stands for the name of a pair of files where rows stay in memory."""
_STALE_SECONDS = 3600
_GIGABYTES = 20.0
_SHARE = 16
"""Pairs of files are about that share of the limit, so that the oldest rows can go."""


def cache_limit() -> int:
    """Returns how many bytes of canvases may be stored: $PIXPROMPT_CACHE_GB gigabytes.

    Raises:
        ConfigError: The variable is no positive number.
    """
    text = os.environ.get("PIXPROMPT_CACHE_GB", "")
    try:
        gigabytes = float(text) if text else _GIGABYTES
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < math.inf:
        raise ConfigError(f"PIXPROMPT_CACHE_GB must be a positive number of gigabytes, got {text!r}.")
    return int(gigabytes * 1e9)


class CanvasStore:
    """The canvases of one canvas setting.

    Attributes:
        reasons: Digest -> why the image cannot be read.
        limit: Bytes that all canvases together may take.
    """

    def __init__(self, folder: Path, size: tuple[int, int], wanted: Iterable[str]) -> None:
        """Looks up what there is; writes nothing yet.

        Args:
            folder: Of this canvas setting alone.
            size: (height, width) of a canvas.
            wanted: Digests of the images that matter here; others are passed over.
        """
        self.reasons: dict[str, str] = {}
        self.limit = cache_limit()
        self._folder = folder
        self._shape = (*size, 3)
        self._wanted = frozenset(wanted)
        self._places: dict[str, tuple[str, int]] = {}
        self._read_so_far: dict[str, tuple[int, int]] = {}
        """Name of a pair -> bytes of its index that were read, and rows that its lines count."""
        self._unusable: set[str] = set()
        self._own = os.urandom(8).hex()
        self._memory: list[Pixels] | None = None
        self.refresh()

    def __contains__(self, digest: str) -> bool:
        return digest in self._places or digest in self.reasons

    def refresh(self) -> None:
        """Reads what other runs have added."""
        for path in sorted(self._folder.glob("*.index")):
            if path.stem in self._unusable:
                continue
            try:
                self._read(path)
            except FileNotFoundError:  # cleared away this very moment
                continue
            except (OSError, ValueError) as error:
                logger.warning("the canvas file %s is damaged (%s); its images are decoded again.", path, error)
                self._unusable.add(path.stem)
                if isinstance(error, ValueError):
                    _remove(path)

    def get(self, digest: str) -> Pixels | str | None:
        """Returns one canvas (H, W, 3), the reason why there is none, or None where it is not in the store."""
        if digest in self.reasons:
            return self.reasons[digest]
        name, row = self._places.get(digest, (_MEMORY, -1))
        if row < 0:
            return None
        if name == _MEMORY:
            return (self._memory or [])[row]
        size = prod(self._shape)
        try:
            with self._file(name, "rows").open("rb") as file:
                file.seek(row * size)
                return np.frombuffer(file.read(size), np.uint8).reshape(self._shape)
        except (OSError, ValueError):  # another run has removed it
            self._forget(name)
            return None

    def add(self, results: Mapping[str, Pixels | str], *, for_now: bool = False) -> None:
        """Stores canvases, and the reasons of images that have none; in memory, with a warning, if the disk fails.

        Args:
            results: Digest -> canvas (H, W, 3) or reason; none of them is in the store.
            for_now: Whether even wanted canvases may be removed where there is no room; then nothing stays in memory.
        """
        if for_now and self._memory is not None:
            return
        rows = {digest: result for digest, result in results.items() if not isinstance(result, str)}
        reasons = {digest: " ".join(result.split()) for digest, result in results.items() if isinstance(result, str)}
        if self._memory is None:
            try:
                self._append(list(rows.values()), [*rows, *(f"{digest} {text}" for digest, text in reasons.items())])
                self._trim(for_now)
            except OSError as error:
                self._continue_in_memory(error)
                if for_now:
                    return
        if self._memory is None:
            name, after = self._own, self._read_so_far[self._own][1]
        else:
            self._memory += rows.values()
            name, after = _MEMORY, len(self._memory)
        self._places.update((digest, (name, after - len(rows) + number)) for number, digest in enumerate(rows))
        self.reasons.update(reasons)

    def canvases(self, digests: Sequence[str]) -> CanvasRows:
        """Maps the canvases of images that are in the store, read-only, in the order of their digests.

        Raises:
            DataError: A file went away since it was looked up.
        """
        places = [self._places[digest] for digest in digests]
        numbers = {name: number for number, name in enumerate(sorted({name for name, _ in places}))}
        table = np.array([(numbers[name], row) for name, row in places], dtype=np.int64).reshape(-1, 2)
        return CanvasRows([self._source(name) for name in numbers], table, self._shape)

    def _source(self, name: str) -> Pixels | Sequence[Pixels]:
        if name == _MEMORY:
            return self._memory or ()
        path = self._file(name, "rows")
        try:
            os.utime(path)
            # A plain view: indexing a memmap costs more than copying a small row.
            return np.asarray(np.memmap(path, np.uint8, "r", shape=(self._read_so_far[name][1], *self._shape)))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: the canvas file changed while it was in use ({error}); run again.") from error

    def _read(self, path: Path) -> None:
        end, count = self._read_so_far.get(path.stem, (0, 0))
        if path.stat().st_size == end:
            return
        with path.open("rb") as file:
            file.seek(end)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        places, reasons = {}, {}
        for line in text.decode().split("\n")[:-1]:
            digest, _, reason = line.partition(" ")
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"a line says {line[:40]!r}")
            if reason:
                reasons[digest] = reason
            else:
                places[digest] = (path.stem, count)
                count += 1
        rows = path.with_suffix(".rows")
        if count and (not rows.exists() or rows.stat().st_size < count * prod(self._shape)):
            raise ValueError(f"it counts {count} rows, and {rows.name} has fewer")
        self._read_so_far[path.stem] = (end + len(text), count)
        self._places.update((digest, place) for digest, place in places.items() if digest in self._wanted)
        self.reasons.update((digest, reason) for digest, reason in reasons.items() if digest in self._wanted)

    def _append(self, rows: Sequence[Pixels], lines: Sequence[str]) -> None:
        if self._read_so_far.get(self._own, (0, 0))[1] * prod(self._shape) > self.limit // _SHARE:
            self._own = os.urandom(8).hex()
        if self._own not in self._read_so_far:
            self._folder.mkdir(parents=True, exist_ok=True)
            _sweep(self._folder)
        end, count = self._read_so_far.setdefault(self._own, (0, 0))
        with self._file(self._own, "rows").open("ab") as file:
            for pixels in rows:
                file.write(pixels.tobytes())
            file.flush()
            os.fsync(file.fileno())
        text = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
        with self._file(self._own, "index").open("ab") as file:
            file.write(text)
        self._read_so_far[self._own] = (end + len(text), count + len(rows))

    def _trim(self, for_now: bool) -> None:
        """Removes the pairs that were used longest ago until all of them are within the limit."""
        in_use = {self._own} | (set() if for_now else {name for name, _ in self._places.values()})
        files = []
        for path in self._folder.parent.glob("*/*.rows"):
            with suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self.limit
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            if path.stem not in in_use:
                _remove(path.with_suffix(".index"))
                self._forget(path.stem)
                excess -= size

    def _forget(self, name: str) -> None:
        if self._read_so_far.pop(name, None) is not None:
            self._places = {digest: place for digest, place in self._places.items() if place[0] != name}

    def _continue_in_memory(self, error: OSError) -> None:
        logger.warning("canvases cannot be kept in %s (%s) and stay in memory; free some space or set PIXPROMPT_CACHE.",
                       self._folder, error)  # fmt: skip
        self._memory = []
        end, count = self._read_so_far.get(self._own, (0, 0))
        index, rows = self._file(self._own, "index"), self._file(self._own, "rows")
        if end == 0:
            _remove(index)
            return
        with suppress(OSError):  # the index first: its lines must never count rows that are gone
            os.truncate(index, end)
            os.truncate(rows, count * prod(self._shape))

    def _file(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}"


def _remove(index: Path) -> None:
    for path in (index, index.with_suffix(".rows")):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes the rows of runs that were killed before they wrote a line."""
    for rows in folder.glob("*.rows"):
        index = rows.with_suffix(".index")
        with suppress(OSError):
            if time.time() - rows.stat().st_mtime > _STALE_SECONDS and not (index.exists() and index.stat().st_size):
                _remove(index)
