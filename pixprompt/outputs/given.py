"""The mapping file of a user: {"dog": ["chihuahua", 207], "cat": "tabby"}."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import ConfigError, ModelSpec
from ..registry import suggest
from .base import pretty
from .sources import SourceNames

__all__ = ["read_mapping"]


def read_mapping(path: Path, classes: Sequence[str], spec: ModelSpec) -> tuple[tuple[int, ...], ...]:
    """Reads the sources of each class.

    A source is an index, or a label of `spec.labels` in any case, whole or one of its comma-separated synonyms.

    Args:
        path: A JSON object with every class as a key, exactly once, and a source or a list of sources as its value.
        classes: K names.
        spec: Of the model, for its labels and its number of outputs.

    Raises:
        ConfigError: The file cannot be read, or names classes or sources that do not exist or are used twice.
    """
    entries = _read_entries(path)
    _check_classes(path, entries, classes)
    names = SourceNames(spec.labels)
    mapping = tuple(
        tuple(_index(item, names, spec, path) for item in _as_list(path, entries[name])) for name in classes
    )
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
    found = names.find(source)
    if not found:
        raise ConfigError(f"{path}: {spec.name} has no label {source!r}.{suggest(pretty(source), names.known)}")
    if len(found) > 1:
        indices = ", ".join(map(str, found))
        raise ConfigError(f"{path}: {source!r} is the label of the sources {indices}; give the index.")
    return found[0]


def _read_entries(path: Path) -> dict[str, Any]:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            twice = next(key for key, _ in pairs if [name for name, _ in pairs].count(key) > 1)
            raise ConfigError(f"{path}: the class {twice!r} appears twice.")
        return values

    try:
        entries = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=distinct)
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
    missing = [name for name in classes if name not in entries]
    if missing:
        raise ConfigError(f"{path}: no sources for {', '.join(missing)}; every class needs at least one.")


def _as_list(path: Path, value: Any) -> list[Any]:
    sources = value if isinstance(value, list) else [value]
    if not sources:
        raise ConfigError(f"{path}: an empty list of sources; every class needs at least one.")
    return sources
