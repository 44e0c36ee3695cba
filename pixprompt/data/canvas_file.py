"""Canvas files: an .npy array of canvases with a .json beside it that names the images left out.

A file is written row by row under another name and renamed when it is whole, so that a killed run leaves no half of
one. Rows are written, never mapped, while it grows: a full disk is then an error to handle instead of a crash.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import numpy.typing as npt

from ..core import DataError, PixpromptError
from ..files import write_json

__all__ = ["CanvasWriter", "read_canvases"]

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_HEADER_SIZE = 128
_STALE_SECONDS = 3600


def read_canvases(path: Path, num_images: int, size: tuple[int, int]) -> tuple[Pixels, dict[int, str]] | None:
    """Maps a canvas file, read-only.

    Args:
        path: The .npy file.
        num_images: N, the images that it was made of.
        size: (height, width) of its canvases.

    Returns:
        Canvases (N - left out, height, width, 3) and index -> reason of those left out; None where there is no
        usable file.
    """
    try:
        reasons = {int(index): str(reason) for index, reason in json.loads(_beside(path).read_text("utf-8")).items()}
        shape = (num_images - len(reasons), *size, 3)
        if path.stat().st_size != _HEADER_SIZE + int(np.prod(shape, dtype=np.int64)):
            raise ValueError("it is too short or too long")
        pixels: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 {shape}, got {pixels.dtype} {pixels.shape}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, EOFError) as error:
        logger.warning("the canvas file %s is damaged (%s); the images are decoded again.", path, error)
        return None
    return pixels, reasons


class CanvasWriter:
    """Collects canvases in a file that appears when it is whole; in memory, with a warning, where that fails.

    Args:
        path: The .npy file to make.
        num_images: N, at most that many canvases will come.
        size: (height, width) of a canvas.
    """

    def __init__(self, path: Path, num_images: int, size: tuple[int, int]) -> None:
        self.path = path
        self._num_images = num_images
        self._size = size
        self._count = 0
        self._memory: Pixels | None = None
        self._file: IO[bytes] | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> CanvasWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.stem}.", suffix=".tmp")
            self._temporary = Path(name)
            self._file = os.fdopen(handle, "w+b")
            self._file.write(_header((self._num_images, *self._size, 3)))
        except OSError as error:
            self._to_memory(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def add(self, pixels: Pixels) -> None:
        """Appends one canvas (height, width, 3)."""
        if self._file:
            try:
                self._file.write(pixels.tobytes())
                self._file.flush()  # a full disk shows here, while `pixels` is at hand
            except OSError as error:
                self._to_memory(error)
        if self._memory is not None:
            self._memory[self._count] = pixels
        self._count += 1

    def finish(self, reasons: dict[int, str]) -> Pixels:
        """Puts the file in its place and returns its canvases, read-only.

        Args:
            reasons: Index -> reason of the images that were left out.
        """
        if self._file and self._temporary:
            try:
                self._file.seek(0)
                self._file.write(_header((self._count, *self._size, 3)))
                self._file.flush()
                os.fsync(self._file.fileno())
                write_json(_beside(self.path), {str(index): reason for index, reason in reasons.items()})
                os.replace(self._temporary, self.path)
            except (OSError, PixpromptError) as error:
                self._to_memory(error)
        if self._memory is not None:
            pixels = self._memory[: self._count]
            pixels.flags.writeable = False
            return pixels
        kept = read_canvases(self.path, self._count + len(reasons), self._size)
        if kept is None:
            raise DataError(f"{self.path}: the canvas file changed while it was written; run again.")
        return kept[0]

    def _to_memory(self, error: Exception) -> None:
        logger.warning(
            "canvases cannot be kept in %s (%s) and stay in memory; free some space or set PIXPROMPT_CACHE.",
            self.path.parent,
            error,
        )
        self._memory = np.zeros((self._num_images, *self._size, 3), dtype=np.uint8)
        if self._temporary and self._count:
            # By name: the open file still holds the bytes that would not go to disk.
            row = self._memory[0].size
            rows = np.fromfile(self._temporary, np.uint8, self._count * row, offset=_HEADER_SIZE)
            self._memory[: self._count] = rows.reshape(self._count, *self._size, 3)
        self._drop()

    def _drop(self) -> None:
        # Closing flushes, which fails once more on a full disk.
        with suppress(OSError):
            if self._file:
                self._file.close()
        with suppress(OSError):
            if self._temporary:
                self._temporary.unlink(missing_ok=True)
        self._file = self._temporary = None

    def _sweep(self) -> None:
        """Removes what runs that were killed while writing the same file left behind."""
        for left in self.path.parent.glob(f".{self.path.stem}.*.tmp"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _header(shape: tuple[int, ...]) -> bytes:
    """Returns an .npy header (format 1.0) whose length does not depend on the shape, so that it can be rewritten."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    length = (_HEADER_SIZE - 10).to_bytes(2, "little")
    return b"\x93NUMPY\x01\x00" + length + text.ljust(_HEADER_SIZE - 11).encode() + b"\n"
