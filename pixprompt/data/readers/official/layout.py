"""How the files of a data set lie in a folder: lists of files and labels become a collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ....core import DataError
from ...image_set import Collection
from ...splits import listed
from ..listed_files import Row, resolve

__all__ = ["ClassNames", "Files", "Layout", "Numbered", "Rows", "sort_labels", "words"]


class Layout(Protocol):
    """One official way in which a data set lies in a folder."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Files and folders, below the root, without which it is not there."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that reading imports beyond those of the package."""
        ...

    def read(self, root: Path) -> Collection:
        """Reads names and labels; opens no image that lies in a file of its own.

        Raises:
            DataError: The files cannot be used as they are.
        """
        ...


class Rows(Protocol):
    """Reads the images of one split as (path below the root, label) pairs."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Files and folders, below the root, that it reads."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that it imports beyond those of the package."""
        ...

    def __call__(self, root: Path) -> list[Row]:
        """Lists the images, whether or not their files exist."""
        ...


class ClassNames(Protocol):
    """Says which labels there are, in order, and what each is called."""

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """Returns label -> class name, in the order of the classes, for at least the labels that occur."""
        ...


@dataclass(frozen=True)
class Files:
    """Image files whose labels stand in lists or folder names.

    Attributes:
        parts: Split -> its rows.
        names: Names of the classes; by default the labels themselves as words, in their order.
        drop: Labels that are no classes here.
        imports: Modules that the reader of the names imports.
    """

    parts: Mapping[str, Rows]
    names: ClassNames | None = None
    drop: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Layout`."""
        return tuple(dict.fromkeys(need for rows in self.parts.values() for need in rows.needs))

    @property
    def modules(self) -> tuple[str, ...]:
        """See `Layout`."""
        return tuple(
            dict.fromkeys((*self.imports, *(module for rows in self.parts.values() for module in rows.modules)))
        )

    def read(self, root: Path) -> Collection:
        """See `Layout`."""
        rows = {part: [row for row in read(root) if row[1] not in self.drop] for part, read in self.parts.items()}
        labels = frozenset(label for some in rows.values() for _, label in some)
        names = (self.names or _own_names)(root, labels)
        unknown = sorted(labels - names.keys())
        if unknown:
            raise DataError(f"{root}: labels that no class has: {listed(unknown)}; known: {listed(names)}.")
        numbers = {label: number for number, label in enumerate(names)}
        return Collection(tuple(names.values()), {part: resolve(root, some, numbers) for part, some in rows.items()})


@dataclass(frozen=True)
class Numbered:
    """Class names in the order of labels that are numbers or sorted names.

    Attributes:
        names: K names.
        start: The first label where labels are numbers; None where the labels that occur are counted up in order.
    """

    names: tuple[str, ...]
    start: int | None = None

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`."""
        if self.start is not None:
            return {str(self.start + number): name for number, name in enumerate(self.names)}
        if len(labels) != len(self.names):
            raise DataError(
                f"{root}: expected {len(self.names)} classes, found {len(labels)}: {listed(sort_labels(labels))}."
            )
        return dict(zip(sort_labels(labels), self.names, strict=True))


def words(name: str) -> str:
    """Returns a class name as words: "AnnualCrop" -> "annual crop", "hard-leaved_orchid" -> "hard leaved orchid"."""
    if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", name):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    name = name.lower().replace("_", " ")
    name = re.sub(r"(?<=[a-z]{2})/(?=[a-z]{2})", " ", name)
    # Between letters only: "707-320" and "dc-10" are names, not words.
    return re.sub(r"(?<=[a-z])-(?=[a-z])", " ", name)


def _own_names(root: Path, labels: frozenset[str]) -> dict[str, str]:
    return {label: words(label) for label in sort_labels(labels)}


def sort_labels(labels: frozenset[str]) -> list[str]:
    """Returns labels in the order of their classes: numbers by size, names by the alphabet."""
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)
