"""What is known about a data set: where it comes from, how it lies on a disk, its official counts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ...core import ConfigError, DataError
from ..image_set import Collection
from ..readers.official.layout import Layout
from ..readers.official.torchvision_ import Torchvision
from ..splits import listed

__all__ = ["DataSet", "data_folder"]

logger = logging.getLogger(__name__)

_EXTRA = "datasets"
"""Of the package: what brings the modules that layouts need."""


def data_folder() -> Path:
    """Returns the folder of data sets: $PIXPROMPT_DATA, or ~/.cache/pixprompt/data."""
    chosen = os.environ.get("PIXPROMPT_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pixprompt" / "data"


@dataclass(frozen=True)
class DataSet:
    """One data set in one official split.

    Attributes:
        num_classes: K.
        sizes: Split -> official number of images; "train" alone where its makers have no splits.
        place: Folder below the data folder.
        other: Another layout in which its makers publish it.
        fetch: What downloads it where the layout does not.
        has_link: Whether its makers' link works, as far as is known.
        note: What else to know: a dead link, what to put where.
        papers: The benchmarks that it is part of.
        classes: K names where they are known without the data.
        unchecked: Facts above that nobody has compared with the source.
        digests: Split -> digest of its manifest, where the whole set was seen.
        task: Another than "classification" is not for `load_data`.
    """

    name: str
    line: str
    layout: Layout
    num_classes: int
    sizes: Mapping[str, int]
    source: str
    licence: str
    size: str = ""
    place: str = ""
    other: Layout | None = None
    fetch: Torchvision | None = None
    has_link: bool = True
    note: str = ""
    papers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    task: str = field(default="classification", kw_only=True)

    @property
    def download(self) -> Torchvision | None:
        """What downloads it; None where it has to be brought."""
        own = self.layout if isinstance(self.layout, Torchvision) else None
        return (self.fetch or own) if self.has_link else None

    @property
    def built_in(self) -> bool:
        """Whether it comes with a package that is installed."""
        return not self.layout.needs

    def default_root(self) -> Path | None:
        """Returns its root in the data folder; None where it is not there."""
        root = data_folder() / self.place
        return root if self._layout_at(root) else None

    def locate(self, folder: Path) -> Path | None:
        """Returns the root of the set in a folder, the folder around it, or one inside it; None where it is in none."""
        return next((root for root in self._candidates(folder) if self._layout_at(root)), None)

    def read(self, root: Path) -> Collection:
        """Reads names and labels below its root.

        Raises:
            ConfigError: A package is missing; the error names the extra that brings it.
            DataError: The files cannot be used as they are.
        """
        layout = self._layout_at(root) or self.layout
        for module in layout.modules:
            if find_spec(module) is None:
                raise ConfigError(
                    f"{self.name}: reading it needs the package {module}, which is not installed: "
                    f"pip install 'pixprompt[{_EXTRA}]'."
                )
        try:
            return layout.read(root)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error

    def faults(self, collection: Collection) -> list[str]:
        """Returns what differs from the official counts and classes; opens no image."""
        faults = []
        if len(collection.classes) != self.num_classes:
            faults.append(f"{len(collection.classes)} classes instead of {self.num_classes}")
        elif self.classes and collection.classes != self.classes:
            number = next(
                n for n, pair in enumerate(zip(collection.classes, self.classes, strict=True)) if len({*pair}) > 1
            )
            faults.append(f"class {number} is {collection.classes[number]!r} instead of {self.classes[number]!r}")
        for part, size in self.sizes.items():
            count = len(collection.parts[part]) if part in collection.parts else 0
            if count != size:
                faults.append(f"{part} has {count:,} images instead of {size:,}")
        return faults

    def missing(self) -> DataError:
        """Returns the error that says how to get it."""
        place = data_folder() / self.place
        text = f"{self.name}: looked for {listed(self.layout.needs)} in {place}, and it is not there."
        if self.download is not None:
            text += f" 'pixprompt datasets prepare {self.name} --download' gets it from {self.source} ({self.size});"
            text += " or get it"
        else:
            text += f" Get it from {self.source}"
        more = f" {self.note}" if self.note else ""
        return DataError(f"{text} yourself, then 'pixprompt datasets prepare {self.name} --from PATH'.{more}")

    def _layout_at(self, root: Path) -> Layout | None:
        layouts = (self.layout, *filter(None, [self.other]))
        return next((layout for layout in layouts if _is_at(layout, root)), None)

    def _candidates(self, folder: Path) -> Iterator[Path]:
        yield from (folder, folder / self.place, folder.parent)
        for depth in ("*", "*/*"):
            yield from sorted(path for path in folder.glob(depth) if path.is_dir() and not path.name.startswith("."))


def _is_at(layout: Layout, root: Path) -> bool:
    return all((root / need).exists() or (root / f"{need}.gz").exists() for need in layout.needs)
