"""Manifests: one small text file per split that says which images it holds, so that a name means the same images.

The first line says format, data set, split and digest, the second the class names as JSON; then comes a line per image,
sorted by name: name, label, and the SHA-256 of its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...core import DataError
from ...files import read_text, write_bytes

__all__ = ["Manifest"]

_MAGIC = "# pixprompt split 1"


@dataclass(frozen=True)
class Manifest:
    """Which images a split holds.

    Attributes:
        data: Name of the data set.
        part: Name of the split.
        classes: K names.
        rows: (name, label, digest of the content) of each image, sorted by name; a name is a path below the root of
            the set, with "/", or a number inside a file of arrays.
    """

    data: str
    part: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, int, str], ...]

    @classmethod
    def of(cls, data: str, part: str, classes: tuple[str, ...], rows: Iterable[tuple[str, int, str]]) -> Manifest:
        """Returns the manifest of rows in any order.

        Raises:
            DataError: A name has a character that ends a column.
        """
        ordered = tuple(sorted(rows))
        odd = next((name for name, _, _ in ordered if "\t" in name or "\n" in name or "\r" in name), None)
        if odd is not None:
            raise DataError(f"{data}: the name {odd!r} has a tab or a line break; rename the file.")
        return cls(data, part, classes, ordered)

    @property
    def digest(self) -> str:
        """SHA-256 over names, class names and contents; the same on every machine."""
        content = hashlib.sha256()
        for name, label, digest in self.rows:
            content.update(f"{name}\t{self.classes[label] if label >= 0 else ''}\t{digest}\n".encode())
        return content.hexdigest()

    def write(self, path: Path) -> None:
        """Writes the file.

        Raises:
            PixpromptError: It cannot be written.
        """
        head = f"{_MAGIC}\t{self.data}\t{self.part}\t{self.digest}\n{json.dumps(self.classes, ensure_ascii=False)}\n"
        lines = (f"{name}\t{label}\t{digest}\n" for name, label, digest in self.rows)
        write_bytes(path, (head + "".join(lines)).encode())

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads the file.

        Raises:
            DataError: It is none, or was changed after it was written.
        """
        try:
            lines = read_text(path).split("\n")
            magic, data, part, digest = lines[0].split("\t")
            classes = tuple(str(name) for name in json.loads(lines[1]))
            cells = [line.split("\t") for line in lines[2:] if line]
            rows = tuple((name, int(label), content) for name, label, content in cells)
            if magic != _MAGIC or any(label >= len(classes) for _, label, _ in rows):
                raise ValueError("it is of another format")
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise DataError(f"{path}: no readable split manifest ({error}).") from error
        manifest = cls(data, part, classes, rows)
        if manifest.digest != digest:
            raise DataError(f"{path}: its digest does not match: it was changed, or is incomplete. Get it again.")
        return manifest
