"""Splits that a paper takes out of another data set's own ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..image_set import Collection
from .official.layout import Layout

__all__ = ["FirstShare"]


@dataclass(frozen=True)
class FirstShare:
    """The first share of the training images, in the order of the file, trains; the others validate.

    Attributes:
        share: In (0, 1).
    """

    layout: Layout
    share: float

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Layout`."""
        return self.layout.needs

    @property
    def modules(self) -> tuple[str, ...]:
        """See `Layout`."""
        return self.layout.modules

    def read(self, root: Path) -> Collection:
        """See `Layout`."""
        collection = self.layout.read(root)
        train, count = collection.parts["train"], int(self.share * len(collection.parts["train"]))
        parts = {"train": train.subset(np.arange(count)), "val": train.subset(np.arange(count, len(train)))}
        return Collection(collection.classes, {**collection.parts, **parts})
