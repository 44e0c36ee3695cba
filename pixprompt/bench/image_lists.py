"""A few images of a folder as a list: a small data set that is the same on every machine."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ..core import DataError
from ..files import make_folder, write_bytes

__all__ = ["write_list"]


def write_list(folder: str | Path, path: Path, train: int, test: int) -> None:
    """Lists the first images of each class of PATH/train/<class> and PATH/test/<class>, as a csv: data set.

    Raises:
        DataError: There are no such folders.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("path", "label", "split"))
    for split, count in (("train", train), ("test", test)):
        root = Path(folder) / split
        if not root.is_dir():
            raise DataError(f"{folder} has no folder {split!r} of images by class.")
        for name in sorted(each.name for each in root.iterdir() if each.is_dir()):
            writer.writerows((image.absolute(), name, split) for image in sorted((root / name).iterdir())[:count])
    content = text.getvalue().encode()
    if not path.exists() or path.read_bytes() != content:
        make_folder(path.parent)
        write_bytes(path, content)
