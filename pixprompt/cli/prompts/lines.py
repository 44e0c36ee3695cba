"""The lines of `pixprompt predict` in a file, which a further call continues."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ...core import ConfigError, PixpromptError
from ..terminal import json_line

__all__ = ["Lines"]


class Lines:
    """A file with a JSON line per image, in order.

    Args:
        path: The file; None for none.
        inputs: The images that the lines are about.
        resume: Whether the lines that are there stay, and others follow; half a line is cut off.

    Raises:
        ConfigError: The file is there and is not to be continued, or its last line is about another image.
    """

    def __init__(self, path: Path | None, inputs: Sequence[str], *, resume: bool) -> None:
        self.path, self.count = path, 0
        self._file: IO[str] | None = None
        if path is None or not path.exists():
            return
        if not resume:
            raise ConfigError(f"{path} is there already. Continue it with --resume, or choose another --out.")
        last = self._read(path)
        if last is not None:
            from ...data import each_image

            named = itertools.chain.from_iterable(map(each_image, inputs))
            name = next((name for name, _ in itertools.islice(named, self.count - 1, None)), None)
            if name != last:
                raise ConfigError(
                    f"{path}: line {self.count} is about {last}, where {name or 'no image'} is expected now. Give the "
                    "same inputs, or choose another --out."
                )

    def _read(self, path: Path) -> str | None:
        """Counts the lines, cuts off what follows the last whole one, and returns what that one is about."""
        end, line = 0, b""
        with path.open("r+b") as file:
            for each in file:
                if each.endswith(b"\n"):
                    line, end, self.count = each, end + len(each), self.count + 1
            file.truncate(end)
        if not line:
            return None
        try:
            return str(json.loads(line)["path"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: line {self.count} is not one of predict. Choose another --out.") from error

    def __enter__(self) -> Self:
        if self.path is not None:
            try:
                self._file = self.path.open("a", encoding="utf-8")
            except OSError as error:
                raise PixpromptError(f"cannot write {self.path}: {error.strerror}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line."""
        if self._file is not None:
            self._file.write(f"{json_line(line)}\n")
            self.count += 1
