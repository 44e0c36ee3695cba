"""Finding source classes by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .base import pretty

__all__ = ["SourceNames"]


class SourceNames:
    """Looks up source labels in any case: whole ones first, then their comma-separated synonyms.

    Args:
        labels: S names; None where they are unknown, and then nothing is found.
    """

    def __init__(self, labels: Sequence[str] | None) -> None:
        self._whole: dict[str, set[int]] = defaultdict(set)
        self._parts: dict[str, set[int]] = defaultdict(set)
        for index, label in enumerate(labels or ()):
            self._whole[pretty(label)].add(index)
            for part in label.split(","):
                self._parts[pretty(part)].add(index)

    @property
    def known(self) -> tuple[str, ...]:
        """Every name that leads somewhere."""
        return tuple(self._parts)

    def find(self, name: str) -> tuple[int, ...]:
        """Returns the sources of that name, ascending; several where a name stands for several."""
        key = pretty(name)
        return tuple(sorted(self._whole.get(key) or self._parts.get(key) or ()))

    def serve(self, classes: Sequence[str]) -> bool:
        """Whether every class has sources of its name, and no source serves two of them."""
        found = [self.find(name) for name in classes]
        indices = [index for sources in found for index in sources]
        return all(found) and len(set(indices)) == len(indices)
