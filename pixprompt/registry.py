"""Names that users type -> things, with a suggestion when a name is misspelt."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .core import ConfigError, UnknownName

__all__ = ["Registry", "suggest"]

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class Registry(Generic[T]):
    """A mapping from names to things of one kind, each with a one-line description.

    Args:
        kind: What the things are, in the singular, for messages ("template").
        entries: Name -> ("module:attribute", description) of things that are imported when they are first used.
    """

    def __init__(self, kind: str, entries: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, tuple[Callable[[], T], str]] = {
            name: (_importer(place), line) for name, (place, line) in (entries or {}).items()
        }

    def register(self, name: str, description: str = "") -> Callable[[T], T]:
        """Returns a decorator that registers a thing; the description defaults to its docstring's first line.

        Raises:
            ConfigError: The name is taken.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ConfigError(f"{self.kind} {name!r} is registered twice; choose another name.")
            line = description or (entry.__doc__ or "").strip().split("\n")[0]
            self._entries[name] = (lambda: entry, line)
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownName(f"unknown {self.kind} {name!r}.{suggest(name, self._entries)} Known: {', '.join(self)}.")
        return self._entries[name][0]()

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def describe(self) -> dict[str, str]:
        """Returns name -> one line, in alphabetical order."""
        return {name: self._entries[name][1] for name in self}


def _importer(place: str) -> Callable[[], Any]:
    module, attribute = place.split(":")
    return lambda: getattr(importlib.import_module(module), attribute)
