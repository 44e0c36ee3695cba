"""The mapping by name: each class reads the source that is called the same. Learns nothing, needs no labels."""

from __future__ import annotations

from typing import ClassVar

from ..core import ConfigError
from .base import Setup
from .mapping import Mapping
from .sources import SourceNames

__all__ = ["NamesMapping"]


class NamesMapping(Mapping):
    """Each class reads the source label of the same name; needs no labelled answers at all.

    Names are compared in any case, with `_` and `-` as spaces; a label counts as a whole or by one of its
    comma-separated synonyms. Where several labels have that name, their mean is read.
    """

    kind: ClassVar[str] = "names"

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        names = SourceNames(setup.spec.labels)
        mapping = tuple(names.find(name) for name in setup.classes)
        nameless = [name for name, sources in zip(setup.classes, mapping, strict=True) if not sources]
        if nameless:
            what = "has no known labels" if setup.spec.labels is None else "has no label of that name"
            raise ConfigError(
                f"the output transform 'names' finds nothing for {', '.join(nameless)}: {setup.spec.name} {what}. "
                "Choose 'given' with a mapping file, or one that learns: 'frequency', 'blm', 'linear'."
            )
        if not names.serve(setup.classes):
            raise ConfigError(
                "the output transform 'names' finds the same label for several classes; choose 'given' with a mapping "
                "file."
            )
        return mapping
