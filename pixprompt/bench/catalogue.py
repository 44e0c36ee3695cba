"""The benchmarks that come with the package, one file each, and files of a user's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core import UnknownName
from ..engine.config.settings_file import read_settings
from ..registry import suggest
from .benchmark import Benchmark, parse_benchmark

__all__ = ["benchmark_names", "is_included", "read_benchmark"]

_FOLDER = "papers"
_OWN = ("title", "source", "claim", "unlike", "published")
"""What a benchmark does not take over from one that it extends."""


def _folder() -> Path:
    return Path(str(files(__package__))) / _FOLDER


def benchmark_names() -> tuple[str, ...]:
    """Returns the names of the benchmarks that come with the package, paper by paper."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def is_included(name: str) -> bool:
    """Whether a name is that of a benchmark of this package; a file of somebody's may name what must be trusted."""
    return name in benchmark_names()


def read_benchmark(name: str | Path) -> Benchmark:
    """Reads a benchmark by its name, or a file of one in TOML, YAML or JSON.

    Raises:
        ConfigError: The file is none, with a suggestion where a key is misspelt.
        UnknownName: There is none of that name.
    """
    path = Path(name)
    if is_included(str(name)):
        path = _folder() / f"{name}.toml"
    elif not path.is_file():
        known = benchmark_names()
        raise UnknownName(
            f"no benchmark {str(name)!r}.{suggest(str(name), known)} 'pixprompt bench --list' has them all."
        )
    return parse_benchmark(path.stem, _extended(read_settings(path, as_written=True)))


def _extended(values: Any) -> Any:
    """Adds what a file takes over from the benchmark of the package that it extends."""
    if not isinstance(values, dict) or "extends" not in values:
        return values
    name = values["extends"]
    if name not in benchmark_names():
        raise UnknownName(f"no benchmark {name!r} to extend.{suggest(str(name), benchmark_names())}")
    base = _extended(read_settings(_folder() / f"{name}.toml", as_written=True))
    own = {key: value for key, value in values.items() if key != "extends"}
    inherited = {key: value for key, value in base.items() if key not in _OWN}
    small = {**inherited.get("miniature", {}), **own.get("miniature", {})}
    return {**inherited, **own, **({"miniature": small} if small else {})}
