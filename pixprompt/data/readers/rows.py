"""Readers of splits that name image files: class folders, text lists, JSON, CUB's tables, CSV, MATLAB files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...core import DataError
from ...files import read_json
from ..splits import listed
from .folders import list_folder
from .listed_files import Row, plain_label, read_matlab, read_text

__all__ = ["ClassFolders", "CoOpSplit", "CubTables", "MatList", "PathLabels", "Table", "TextList", "lines_of"]

_NO_MODULES: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassFolders:
    """PATH/<class>/*, or PATH/<class>/INNER/*.

    Attributes:
        path: Below the root.
        inner: Folder inside each class folder.
    """

    path: str = ""
    inner: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Rows`."""
        return (self.path,)

    modules = _NO_MODULES

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        rows: list[Row] = []
        for folder in list_folder(root / self.path)[0]:
            files = list_folder(folder / self.inner)[1]
            rows += (((path.relative_to(root)).as_posix(), folder.name) for path in files)
        return rows


class _Listed:
    """Rows that one file lists, with paths that begin in a folder."""

    file: str
    images: str
    modules: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Rows`."""
        return (self.file, *filter(None, [self.images]))


@dataclass(frozen=True)
class TextList(_Listed):
    """Lines "path label", further columns ignored: VTAB's lists, few-shot index files, Tiny-ImageNet's annotations.

    Attributes:
        file: The list, below the root.
        images: Folder in which its paths begin.
    """

    file: str
    images: str = ""

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        rows: list[Row] = []
        for number, line in enumerate(read_text(root / self.file).splitlines(), 1):
            if not line.strip():
                continue
            columns = line.split("\t") if "\t" in line else line.rsplit(maxsplit=1)
            if len(columns) < 2:
                raise DataError(f"{root / self.file}: expected a path and a label in line {number}, got {line!r}.")
            rows.append((_join(self.images, columns[0].strip()), plain_label(columns[1])))
        return rows


@dataclass(frozen=True)
class CoOpSplit(_Listed):
    """One part of a `split_zhou_*.json`: {"train": [[path, label, class name], ...], "val": ..., "test": ...}.

    Also says the class names in the order of their numbers; a number with two names is refused.

    Attributes:
        file: Below the root.
        part: Key of the split in the file.
        images: Folder in which its paths begin.

    Reference: arXiv:2109.01134.
    """

    file: str
    part: str
    images: str = ""

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        return [(_join(self.images, path), str(number)) for path, number, _ in self._items(root)[self.part]]

    def names(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`."""
        names: dict[int, str] = {}
        for items in self._items(root).values():
            for path, number, name in items:
                if names.setdefault(number, name) != name:
                    raise DataError(
                        f"{root / self.file}: class {number} is called {names[number]!r} and, at {path}, {name!r}; "
                        "the file is damaged or mixes two lists."
                    )
        twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
        if twice:
            raise DataError(f"{root / self.file}: one name for several classes: {listed(twice)}.")
        return {str(number): names[number].replace("_", " ") for number in sorted(names)}

    def _items(self, root: Path) -> dict[str, list[tuple[str, int, str]]]:
        path = root / self.file
        content = _json(path)
        try:
            return {
                part: [(str(name), int(number), str(label)) for name, number, label in content[part]]
                for part in ("train", "val", "test")
            }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: expected train, val and test, each a list of [path, label, class name] ({error!r})."
            ) from error


@dataclass(frozen=True)
class PathLabels(_Listed):
    """A JSON object path -> label, as the VPT paper's splits are.

    Attributes:
        file: Below the root.
        images: Folder in which its paths begin.

    Reference: arXiv:2203.12119.
    """

    file: str
    images: str = ""

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        content = _json(root / self.file)
        if not isinstance(content, dict):
            raise DataError(f"{root / self.file}: expected an object path -> label, got {type(content).__name__}.")
        return [(_join(self.images, path), plain_label(label)) for path, label in content.items()]


@dataclass(frozen=True)
class CubTables:
    """images.txt, image_class_labels.txt and train_test_split.txt, each "id value", as in CUB and NABirds.

    Attributes:
        train: Which side of the split.
    """

    train: bool

    needs = ("images", "images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    modules = _NO_MODULES

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        paths, labels, sides = (lines_of(root / name) for name in self.needs[1:4])
        missing = sorted(paths.keys() - (labels.keys() & sides.keys()))
        if missing:
            raise DataError(f"{root}: images.txt has images without a label or a split: {listed(missing)}.")
        return [
            (_join("images", path), plain_label(labels[key]))
            for key, path in paths.items()
            if (sides[key] == "1") is self.train
        ]


@dataclass(frozen=True)
class Table:
    """Rows of a CSV table under a condition, as WILDS' metadata are.

    Attributes:
        file: Below the root.
        path: Format of the image's path, with the names of columns, and `row`, the number of the line from 0.
        label: Column of the label.
        where: Column -> values; all must hold.
        between: Column, first value, and the one that is too large; compared as text, as ISO times can be.

    Reference: arXiv:2012.07421.
    """

    file: str
    path: str
    label: str
    where: Mapping[str, tuple[str, ...]]
    between: tuple[str, str, str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Rows`."""
        return (self.file, self.path.partition("/")[0])

    modules = _NO_MODULES

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        file = root / self.file
        try:
            return [
                (self.path.format(row=number, **line), plain_label(line[self.label]))
                for number, line in enumerate(_table(file, file.stat().st_mtime_ns))
                if all(line[column] in values for column, values in self.where.items())
                and (self.between is None or self.between[1] <= line[self.between[0]] < self.between[2])
            ]
        except KeyError as error:
            raise DataError(f"{file}: expected a column {error}.") from error
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class MatList(_Listed):
    """A cell array of paths in a MATLAB file; the folder of an image is its class.

    Attributes:
        file: Below the root.
        variable: Its name in the file.
        images: Folder in which the paths begin.
    """

    file: str
    variable: str = "file_list"
    images: str = ""

    modules = ("scipy",)

    def __call__(self, root: Path) -> list[Row]:
        """See `Rows`."""
        paths = read_matlab(root / self.file, self.variable)
        return [(_join(self.images, path), path.split("/")[0]) for path in paths]


def lines_of(path: Path) -> dict[str, str]:
    """Reads lines "key value", the value to the end of the line.

    Raises:
        DataError: The file cannot be read, or a line has no value.
    """
    lines = [line.split(maxsplit=1) for line in read_text(path).splitlines() if line.strip()]
    if any(len(line) < 2 for line in lines):
        raise DataError(f"{path}: expected lines of a key and a value.")
    return {key: value.strip() for key, value in lines}


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable JSON ({error}).") from error


@lru_cache(maxsize=1)
def _table(file: Path, changed: int) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return [dict(line) for line in csv.DictReader(lines, restval="")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a comma-separated UTF-8 table ({error}).") from error


def _join(folder: str, path: str) -> str:
    path = path.replace("\\", "/").removeprefix("./")
    return f"{folder}/{path}" if folder else path
