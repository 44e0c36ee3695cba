"""Class names out of the files that come with a data set."""

from __future__ import annotations

import csv
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from ...core import DataError
from .listed_files import plain_label, read_matlab, read_text
from .official.layout import sort_labels, words
from .rows import lines_of

__all__ = ["CarNames", "NamesFile", "Table", "Trimmed", "names_by_line"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamesFile:
    """Lines "label name": CUB's "1 001.Black_footed_Albatross", ImageNet's "n01440764 tench, Tinca tinca".

    Attributes:
        files: Below the root; the first that is there counts. Without any, the labels themselves are the names.
        prefix: Regular expression that is cut off a name's beginning.
    """

    files: tuple[str, ...]
    prefix: str = ""

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`: only labels that occur are classes, in the order of the labels."""
        path = next((root / file for file in self.files if (root / file).is_file()), None)
        if path is None:
            logger.warning("%s: none of %s is there; the classes are called by their labels.", root, self.files)
            return {label: label for label in sort_labels(labels)}
        names = {
            plain_label(key): _first(re.sub(f"^(?:{self.prefix})", "", name)) for key, name in lines_of(path).items()
        }
        lacking = sorted(labels - names.keys())
        if lacking:
            raise DataError(f"{path}: no name for {len(lacking)} labels, the first is {lacking[0]!r}.")
        return _distinct({label: names[label] for label in sort_labels(labels)})


@dataclass(frozen=True)
class Trimmed:
    """The labels themselves, without what they begin with.

    Attributes:
        prefix: Regular expression.
    """

    prefix: str

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`."""
        return {label: words(re.sub(f"^(?:{self.prefix})", "", label)) for label in sort_labels(labels)}


@dataclass(frozen=True)
class Table:
    """Two columns of a CSV file with a header.

    Attributes:
        file: Below the root.
        label: Column of the label.
        name: Column of the name.
    """

    file: str
    label: str
    name: str

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`: only labels that occur are classes; one without a name is called by its number."""
        lines = csv.DictReader(read_text(root / self.file).splitlines()) if (root / self.file).is_file() else ()
        try:
            names = {plain_label(line[self.label]): words(line[self.name]) for line in lines}
        except KeyError as error:
            raise DataError(f"{root / self.file}: expected the columns {self.label} and {self.name}.") from error
        return _distinct({label: names.get(label, f"class {label}") for label in sort_labels(labels)})


@dataclass(frozen=True)
class CarNames:
    """`class_names` of Stanford Cars' development kit, in the order of labels from 1."""

    file: str = "devkit/cars_meta.mat"

    def __call__(self, root: Path, labels: frozenset[str]) -> dict[str, str]:
        """See `ClassNames`."""
        names = read_matlab(root / self.file, "class_names")
        return {str(number): words(name) for number, name in enumerate(names, 1)}


def names_by_line(root: Path, labels: frozenset[str]) -> dict[str, str]:
    """Reads a class name in each line of `classes.txt`, counted from 0; without it numbers are called "class 0", ...

    See `ClassNames`.
    """
    path = root / "classes.txt"
    if not path.is_file():
        return {label: f"class {label}" if label.isdecimal() else label for label in sort_labels(labels)}
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return {str(number): name for number, name in enumerate(lines)}


def _first(name: str) -> str:
    return words(name.split(",")[0].strip())


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """Adds its label to a name that several classes have, such as ImageNet's two cranes."""
    count: dict[str, int] = {}
    for name in names.values():
        count[name] = count.get(name, 0) + 1
    return {label: name if count[name] == 1 else f"{name} ({label})" for label, name in names.items()}
