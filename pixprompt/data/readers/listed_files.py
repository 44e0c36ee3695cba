"""From the paths and labels of a list to image files that exist."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from ... import files
from ...core import DataError
from ..image_set import ImageSet, from_files
from ..splits import listed

__all__ = ["Row", "plain_label", "read_matlab", "read_text", "resolve"]

logger = logging.getLogger(__name__)

Row: TypeAlias = tuple[str, str]
"""Path below the root, with "/" between its parts, and label."""


def resolve(root: Path, rows: Sequence[Row], numbers: Mapping[str, int]) -> ImageSet:
    """Finds the files of a list in their folders, each of which is listed once; no file is opened.

    A path whose suffix is spelt with other case on the disk is found; a line that comes twice counts once.

    Args:
        root: Where the paths begin.
        rows: Rows of one split.
        numbers: Label -> class index.

    Returns:
        The images in the order of their paths.

    Raises:
        DataError: A file is missing or outside the root, or an image has two labels.
    """
    labels = _labels(root, rows)
    folders: dict[str, dict[str, str]] = {}
    files: list[tuple[str, int]] = []
    missing: list[str] = []
    for path in sorted(labels):
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = _listing(root, folder)
        spelling = folders[folder].get(name) or folders[folder].get(name.casefold())
        if spelling is None:
            missing.append(path)
        else:
            files.append((os.path.join(root, folder, spelling), numbers[labels[path]]))
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(labels)} listed images are not there: {listed(missing)}; "
            "is the archive unpacked completely, and into this folder?"
        )
    return from_files([path for path, _ in files], [label for _, label in files])


def read_text(path: Path) -> str:
    """Reads a text file of a data set.

    Raises:
        DataError: It is missing or no text.
    """
    try:
        return files.read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read as text ({reason}).") from error


def read_matlab(path: Path, variable: str) -> list[str]:
    """Reads a cell array of texts out of a MATLAB file.

    Raises:
        DataError: There is no such file, or no such variable in it.
    """
    from scipy.io import loadmat

    try:
        return [str(text) for text in loadmat(path, squeeze_me=True)[variable]]
    except Exception as error:  # damaged files make the reader raise errors of any type
        raise DataError(f"{path}: no MATLAB file with {variable!r} ({error}).") from error


def plain_label(value: object) -> str:
    """Returns a label as text; of numbers without leading zeros, so that "001" and 1 are the same."""
    text = str(value).strip()
    return str(int(text)) if text.isdecimal() else text


def _labels(root: Path, rows: Sequence[Row]) -> dict[str, str]:
    labels: dict[str, str] = {}
    repeated = 0
    for path, label in rows:
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise DataError(f"{root}: a list names {path!r}, which lies outside the folder; this is no list to trust.")
        repeated += path in labels
        if labels.setdefault(path, label) != label:
            raise DataError(f"{root}: {path} is listed as {labels[path]!r} and as {label!r}; keep one.")
    if repeated:
        logger.warning("%s: %d lines come twice in a list and count once.", root, repeated)
    return labels


def _listing(root: Path, folder: str) -> dict[str, str]:
    """Returns name -> name, and name in small letters -> name, of the files in a folder."""
    try:
        with os.scandir(root / folder) as entries:
            names = [entry.name for entry in entries if not entry.is_dir()]
    except OSError:
        return {}
    return {name.casefold(): name for name in names} | {name: name for name in names}
