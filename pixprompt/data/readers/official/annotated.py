"""Images with a label for every pixel: only their names are read here; `pixprompt.segmentation` opens them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ....core import DataError
from ...image_set import UNLABELLED, Collection, from_files
from ...splits import listed
from ..folders import list_folder
from ..listed_files import read_text

__all__ = ["AnnotatedImages"]


@dataclass(frozen=True)
class AnnotatedImages:
    """`images/<part>/*` with `annotations/<part>/*.png` beside, as in ADEChallengeData2016.

    Attributes:
        parts: Split -> name of its folders.
        names_file: A line per class, after a heading, that ends with its name.
        num_classes: Number of classes where that file is missing.
    """

    parts: Mapping[str, str]
    names_file: str
    num_classes: int

    modules: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Layout`."""
        return tuple(f"{kind}/{part}" for part in self.parts.values() for kind in ("images", "annotations"))

    def read(self, root: Path) -> Collection:
        """See `Layout`; the images have no label as a whole."""
        parts = {}
        for split, part in self.parts.items():
            images, masks = (list_folder(root / kind / part)[1] for kind in ("images", "annotations"))
            lacking = sorted({path.stem for path in images} - {path.stem for path in masks})
            if lacking:
                raise DataError(f"{root}: {len(lacking)} images of {part} have no annotation: {listed(lacking)}.")
            parts[split] = from_files(images, [UNLABELLED] * len(images))
        return Collection(self._names(root), parts)

    def _names(self, root: Path) -> tuple[str, ...]:
        if not (root / self.names_file).is_file():
            return tuple(f"class {number}" for number in range(1, self.num_classes + 1))
        lines = [line for line in read_text(root / self.names_file).splitlines()[1:] if line.strip()]
        return tuple(line.split("\t")[-1].strip() for line in lines)
