"""`lists:PATH`: text lists of images and labels, `PATH/train.txt` and so on, as VTAB's and few-shot index files are."""

from __future__ import annotations

from pathlib import Path

from ...core import DataError
from ..image_set import Collection
from .class_names import names_by_line
from .official.layout import Files
from .rows import TextList

__all__ = ["read_lists"]


def read_lists(path: Path) -> Collection:
    """Reads `train.txt` and, where they are, `val.txt` and `test.txt`: lines "path label", paths relative to PATH.

    Paths may also begin in `PATH/images`. Labels are numbers from 0 or names; a line that comes twice counts once.

    Raises:
        DataError: There is no list, or an image that it names is missing.
    """
    parts = [part for part in ("train", "val", "test") if (path / f"{part}.txt").is_file()]
    if "train" not in parts:
        raise DataError(f"{path}: expected train.txt with lines of a path and a label, and found none.")
    rows = TextList("train.txt")(path)
    inside = bool(rows) and not (path / rows[0][0]).exists() and (path / "images").is_dir()
    return Files({part: TextList(f"{part}.txt", "images" if inside else "") for part in parts}, names_by_line).read(
        path
    )
