"""`lists:PATH`: text lists of images and labels, `PATH/train.txt` and so on, as VTAB's and few-shot index files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...core import DataError
from ..image_set import Collection
from .listed_files import read_text
from .official.layout import Files, sort_labels
from .rows import TextList

__all__ = ["read_lists"]


@dataclass(frozen=True)
class _Lines:
    """A class name in each line of `classes.txt`, counted from 0; without it numbers are called "class 0", ..."""

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        if not (root / "classes.txt").is_file():
            return {label: f"class {label}" if label.isdecimal() else label for label in sort_labels(labels)}
        lines = [line.strip() for line in read_text(root / "classes.txt").splitlines() if line.strip()]
        return {str(number): name for number, name in enumerate(lines)}


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
    return Files({part: TextList(f"{part}.txt", "images" if inside else "") for part in parts}, _Lines()).read(path)
