"""The benchmarks that come with the package, one file each, and files of a user's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ..core import UnknownName
from ..engine.config.settings_file import read_settings
from ..registry import suggest
from .benchmark import Benchmark, parse_benchmark

__all__ = ["benchmark_names", "is_included", "read_benchmark"]

_FOLDER = "papers"


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
    return parse_benchmark(path.stem, read_settings(path, as_written=True))
