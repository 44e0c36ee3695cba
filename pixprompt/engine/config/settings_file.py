"""Settings that a person wrote down, in TOML, YAML or JSON."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ...core import ConfigError
from ...files import open_regular, read_json

__all__ = ["read_settings"]

_MAX_BYTES = 2**20


def read_settings(path: Path, *, as_written: bool = False) -> Any:
    """Reads a file of settings by its suffix: .toml, .yaml or .yml, otherwise JSON.

    Args:
        as_written: Leaves the names as they are; they are not all those of settings.

    Returns:
        What the file holds. Names may be spelled as on the command line: "batch-size" is "batch_size".

    Raises:
        ConfigError: It cannot be read, or is not in the format of its suffix.
    """
    try:
        values = _read(path)
        return values if as_written else _underscored(values)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no file of settings ({' '.join(str(error).split())}).") from error


def _read(path: Path) -> Any:
    kind = path.suffix.lower()
    if kind not in (".toml", ".yaml", ".yml"):
        return read_json(path)
    with open_regular(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    text = content.decode("utf-8")
    if kind == ".toml":
        return tomllib.loads(text)
    import yaml  # here only: nobody else pays for it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _underscored(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {str(name).replace("-", "_"): _underscored(each) for name, each in value.items()}
