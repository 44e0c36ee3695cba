"""Names that users type -> things, with a suggestion when a name is misspelt."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .core import ConfigError, UnknownName

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry", "suggest"]

T = TypeVar("T")


def suggest(name: str, names: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class Registry(Generic[T]):
    """A mapping from names to things of one kind, each with a one-line description.

    Installed packages add to it by entry points. Code of the user's own is added by `load`, which is called with what
    the user typed and never with what a file holds.

    Args:
        kind: What the things are, in the singular, for messages ("template").
        entries: Name -> ("module:attribute", description) of things that are imported when they are first used.
        group: Of the entry points; None for none.
        needs: An attribute without which a thing of the user's own is none of this kind.
        rename: Returns such a thing under another name.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, tuple[str, str]] | None = None,
        *,
        group: str | None = None,
        needs: str = "",
        rename: Callable[[T, str], T] = lambda entry, name: entry,
    ) -> None:
        self.kind, self.group, self.needs = kind, group, needs
        self._rename = rename
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

    def load(self, name: str) -> T:
        """Returns a thing by its name, or by "module:attribute", code that is imported because the user said so.

        Raises:
            ConfigError: There is no such code, or it is none of this kind.
            UnknownName: There is no such name.
        """
        if ":" in name and name not in self._entries:
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            importlib.invalidate_caches()
            try:
                code = _importer(name)()
            except Exception as error:
                raise ConfigError(
                    f"{self.kind} {name!r} cannot be imported: {type(error).__name__}: {error}."
                ) from error
            self._add(code, name)
        return self[name]

    def builtin(self) -> tuple[str, ...]:
        """Returns the names of what has been imported or belongs to this package, not those of entry points."""
        return tuple(sorted(self._entries))

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name][0]()
        if name in self._plugins():
            return self._add(self._plugins()[name].load(), name)
        if ":" in name and self.needs:
            raise UnknownName(
                f"{self.kind} {name!r} is code to run, and no file may decide that. If you trust it, say so: "
                f"pixprompt --load {name} ..., or in Python the `load` of its registry."
            )
        raise UnknownName(f"unknown {self.kind} {name!r}.{suggest(name, self)} Known: {', '.join(self)}.")

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._entries, *self._plugins()}))

    def __len__(self) -> int:
        return len({*self._entries, *self._plugins()})

    def describe(self) -> dict[str, str]:
        """Returns name -> one line, in alphabetical order; of an entry point that is not imported, its package."""
        lines = {name: f"of package {point.dist.name if point.dist else point.value}"
                 for name, point in self._plugins().items()}  # fmt: skip
        lines |= {name: line for name, (_, line) in self._entries.items()}
        return {name: lines[name] for name in self}

    def _add(self, entry: Any, name: str) -> T:
        if self.needs and getattr(entry, self.needs, None) is None:
            raise ConfigError(f"{name!r} is no {self.kind}: it has no attribute {self.needs!r}.")
        own = self._rename(entry, name)
        self._entries = {**self._entries, name: (lambda: own, _first_line(own))}
        return own

    def _plugins(self) -> Mapping[str, EntryPoint]:
        return _entry_points(self.group, tuple(sys.path)) if self.group else {}


@lru_cache(maxsize=8)
def _entry_points(group: str, path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Returns the entry points of a group; to find them costs a look into every installed package on the path."""
    from importlib.metadata import entry_points  # slow to import, and a start of `apply` needs no plugin

    return {point.name: point for point in entry_points(group=group)}


def _first_line(entry: Any) -> str:
    return str(getattr(entry, "line", None) or (entry.__doc__ or "").strip().split("\n")[0])


def _importer(place: str) -> Callable[[], Any]:
    module, _, attribute = place.partition(":")
    return lambda: getattr(importlib.import_module(module), attribute)
