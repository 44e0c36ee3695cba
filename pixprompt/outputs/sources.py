"""Source classes by their names, and the mapping file of a user: {"dog": ["chihuahua", 207], "cat": "tabby"}."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import ConfigError, ModelSpec
from ..files import read_text
from ..registry import suggest
from .texts.templates import pretty

__all__ = ["SourceNames", "read_mapping"]


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
        """Every name that a source has."""
        return tuple(self._parts)

    def find(self, name: str) -> tuple[int, ...]:
        """Returns the sources of that name, ascending; several where a name stands for several."""
        key = pretty(name)
        return tuple(sorted(self._whole.get(key) or self._parts.get(key) or ()))

    def serve(self, classes: Sequence[str]) -> bool:
        """Whether every class has sources of its name, and no source serves two of them."""
        by_class = [self.find(name) for name in classes]
        indices = [index for sources in by_class for index in sources]
        return all(by_class) and len(set(indices)) == len(indices)


def read_mapping(path: Path, classes: Sequence[str], spec: ModelSpec) -> tuple[tuple[int, ...], ...]:
    """Reads the sources of each class.

    A source is an index, or a label of `spec.labels` in any case, whole or one of its comma-separated synonyms.

    Args:
        path: A JSON object with every class as a key, exactly once, and a source or a list of sources as its value.
        classes: K names.
        spec: Spec of the model, for its labels and its number of outputs.

    Raises:
        ConfigError: The file cannot be read, or names classes or sources that do not exist or are used twice.
    """
    entries = _read_entries(path)
    _check_classes(path, entries, classes)
    names = SourceNames(spec.labels)
    mapping = tuple(tuple(_index(item, names, spec, path) for item in _as_list(entries[name])) for name in classes)
    users: dict[int, str] = {}
    for name, sources in zip(classes, mapping, strict=True):
        for index in sources:
            if index in users:
                raise ConfigError(f"{path}: source {index} is used by {users[index]!r} and by {name!r}; keep one.")
            users[index] = name
    return mapping


def _index(source: Any, names: SourceNames, spec: ModelSpec, path: Path) -> int:
    if isinstance(source, int) and not isinstance(source, bool):
        if not 0 <= source < spec.num_outputs:
            raise ConfigError(f"{path}: source {source} is outside 0..{spec.num_outputs - 1} of {spec.name}.")
        return source
    if not isinstance(source, str):
        raise ConfigError(f"{path}: a source is an index or a label, got {source!r}.")
    if not names.known:
        raise ConfigError(f"{path}: {spec.name} has no known labels; give the index instead of {source!r}.")
    indices = names.find(source)
    if not indices:
        raise ConfigError(f"{path}: {spec.name} has no label {source!r}.{suggest(pretty(source), names.known)}")
    if len(indices) > 1:
        several = ", ".join(map(str, indices))
        raise ConfigError(f"{path}: {source!r} is the label of the sources {several}; give the index.")
    return indices[0]


def _read_entries(path: Path) -> dict[str, Any]:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            twice = next(key for key, _ in pairs if [name for name, _ in pairs].count(key) > 1)
            raise ConfigError(f"{path}: the class {twice!r} appears twice.")
        return values

    try:
        entries = json.loads(read_text(path), object_pairs_hook=distinct)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read the mapping file {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not readable JSON ({error}).") from error
    if not isinstance(entries, dict):
        raise ConfigError(f"{path}: expected a JSON object from classes to sources, got a {type(entries).__name__}.")
    return entries


def _check_classes(path: Path, entries: dict[str, Any], classes: Sequence[str]) -> None:
    for name in entries:
        if name not in classes:
            raise ConfigError(f"{path}: unknown class {name!r}.{suggest(name, classes)} Known: {', '.join(classes)}.")
    missing = [name for name in classes if not _as_list(entries.get(name, []))]
    if missing:
        raise ConfigError(f"{path}: no sources for {', '.join(missing)}; every class needs at least one.")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
