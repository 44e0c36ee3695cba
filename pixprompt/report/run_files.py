"""What a run directory holds, and what is missing in it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..adapters import METHODS
from ..core import ConfigError, PixpromptError
from ..engine.config.train_config import GROUPS
from ..engine.inputs.opening import is_remote
from ..engine.result import Result, none_kept, read_result
from ..files import MAX_JSON_BYTES, open_regular, read_json
from ..optimizers import OPTIMIZERS
from ..prompt import Committee, Prompt, load_committee
from ..settings import Settings

__all__ = ["RunFiles", "read_runs"]

T = TypeVar("T")


@dataclass(frozen=True)
class RunFiles:
    """The files of one run; None and empty where a file is not there or cannot be read.

    Attributes:
        name: Short, distinct among the runs of one report.
        missing: File -> why it is not there.
    """

    folder: Path
    name: str
    result: Result | None
    config: dict[str, Any] | None
    history: list[dict[str, Any]]
    committee: Committee | None
    preview: bytes | None
    diagnosis: dict[str, Any] | None
    has_ledger: bool
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def pages(self) -> tuple[Prompt, ...]:
        """Its prompts; none where there is no file."""
        return () if self.committee is None else self.committee.pages

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by the names of their options; empty where they are not known."""
        return self.config or {}

    @property
    def white_box(self) -> bool:
        """Whether its method is fitted inside the model and leaves no prompt."""
        method = self.result.method if self.result is not None else self.settings.get("method")
        return str(method) in METHODS and METHODS[str(method)].white_box

    @property
    def prompt_kept(self) -> bool:
        """Whether the run kept a prompt."""
        return self.committee is not None and not self.committee.is_empty

    @property
    def none_kept(self) -> str:
        """Says that no prompt was kept, and whether none was looked for or none won."""
        return none_kept(True if self.result is None else self.result.searched)

    @property
    def title(self) -> str:
        """Model and data, as far as the files say."""
        model = self.result.model if self.result else self.settings.get("model")
        data = self.result.data if self.result else self.settings.get("data")
        return " on ".join(str(part) for part in (model, data) if part) or self.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the result, or else of the prompt."""
        if self.result is not None:
            return self.result.classes
        return tuple(map(str, self.committee.output.get("classes", ()))) if self.committee else ()

    @property
    def damage(self) -> str:
        """Which files are there but cannot be read, and why; empty where none is."""
        return "; ".join(f"{file} {why}" for file, why in self.missing.items() if "cannot be read" in why)

    @property
    def may_cost(self) -> bool:
        """Whether even loading its model may query what is paid for: Python code that may only answer, a URL."""
        name = str(self.settings.get("model", ""))
        by_gradients = self.settings.get("optimizer") in OPTIMIZERS and not any(
            "queries" in line for line in self.history
        )
        return is_remote(name) or (name.startswith("python:") and not by_gradients)

    @property
    def price(self) -> float | None:
        """Price of 1000 queries, as configured."""
        price = self.settings.get("price_per_1000")
        return float(price) if isinstance(price, (int, float)) else None


def read_runs(folders: Sequence[str | Path]) -> list[RunFiles]:
    """Reads run directories.

    Raises:
        ConfigError: One of them is none: no folder, or a folder with none of the files of a run.
    """
    paths = [Path(os.path.abspath(folder)) for folder in folders]  # a link to a folder has a name of its own
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError("the same run directory is named twice; name each once.")
    return [_read(path, _short_name(path, paths)) for path in paths]


def _short_name(path: Path, paths: Sequence[Path]) -> str:
    """Returns the end of a path that no other path shares."""
    ends = (path.parts[-count:] for count in range(1, len(path.parts)))
    own = (end for end in ends if sum(other.parts[-len(end) :] == end for other in paths) == 1)
    return "/".join(next(own, (str(path),)))


def _options(path: Path) -> dict[str, Any]:
    """Reads the settings of a run by the names of their options, those too that this version does not know."""
    values = _object(path)
    method, options = str(values.get("method")), dict[str, Any]()
    for name, value in values.items():
        if not isinstance(value, dict):
            options[name] = value
            continue
        kind = METHODS[method].settings if name == "adapter" and method in METHODS else GROUPS.get(name, Settings)
        names = {item.name: option for option, item in kind.options().items()}
        options |= {names.get(str(key), str(key)): each for key, each in value.items()}
    return options


def _read(folder: Path, name: str) -> RunFiles:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no run directory; 'pixprompt train --out' makes one.")
    missing: dict[str, str] = {}

    def read(file: str, parse: Callable[[Path], T]) -> T | None:
        path = folder / file
        if not path.exists():
            missing[file] = "not there"
            return None
        try:
            return parse(path)
        except (PixpromptError, OSError, ValueError) as error:
            missing[file] = f"cannot be read ({str(error).replace(str(path), file)})"
            return None

    result, config = read("result.json", read_result), read("config.json", _options)
    history, prompt = read("history.jsonl", lambda path: _lines(path, missing)), read("prompt.png", load_committee)
    preview = read("preview.png", _png)
    if {"result.json", "config.json", "history.jsonl", "prompt.png"} <= {
        file for file, why in missing.items() if why == "not there"
    }:
        raise ConfigError(f"{folder} holds none of the files of a run; 'pixprompt train --out' makes them.")
    diagnosis = read("diagnosis.json", _object)
    if missing.get("diagnosis.json") == "not there":
        del missing["diagnosis.json"]  # nothing that a run makes by itself
    ledger = (folder / "ledger.sqlite").exists()
    return _without_expected_gaps(
        RunFiles(folder, name, result, config, history or [], prompt, preview, diagnosis, ledger, missing)
    )


def _without_expected_gaps(run: RunFiles) -> RunFiles:
    """Names as missing the file that the run's method writes, and not the other methods' file."""
    if run.white_box:
        run.missing.pop("prompt.png", None)
        if not (run.folder / "adapter.safetensors").exists():
            run.missing["adapter.safetensors"] = "not there"
    return run


def _object(path: Path) -> dict[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"expected a JSON object, got {type(values).__name__}")
    return values


def _lines(path: Path, missing: dict[str, str]) -> list[dict[str, Any]]:
    """Reads a history up to its first torn line."""
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(_content(path).decode("utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            missing[path.name] = f"line {number} cannot be read; the lines before it are shown"
            break
        lines.append({name: value for name, value in values.items() if _is_number(value)})
    return lines


def _content(path: Path) -> bytes:
    """Reads a file whose size and kind are somebody else's choice."""
    with open_regular(path) as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
    return content


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _png(path: Path) -> bytes:
    content = _content(path)
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no PNG file")
    return content
