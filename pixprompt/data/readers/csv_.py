"""`csv:FILE`: a table of images with the columns path, label and, optionally, split."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core import DataError
from ...files import read_text
from ..image_set import Collection, from_files
from ..splits import listed
from .folders import split_names

__all__ = ["read_csv"]

_REQUIRED = ("path", "label")


@dataclass(frozen=True)
class _Row:
    line: int
    path: Path
    label: str
    split: str


def read_csv(file: Path, others: tuple[str, ...] = ()) -> Collection:
    """Reads a comma-separated UTF-8 table; paths are relative to the table, other columns are ignored.

    Args:
        others: Names of splits besides the usual ones.

    Raises:
        DataError: The table cannot be read, or a row says nothing usable; the message names the lines.
    """
    rows = _rows(file)
    if not rows:
        raise DataError(f"{file}: the table has no rows below its header.")
    _refuse(file, rows, lambda row: not row.label, "no label")
    _refuse(file, rows, lambda row: row.path == file.parent, "no path")
    names = split_names(others)
    _refuse(file, rows, lambda row: bool(row.split) and row.split.lower() not in names, _unknown(rows, names))
    has_splits = any(row.split for row in rows)
    _refuse(file, rows, lambda row: has_splits and not row.split, "no split, though other lines have one")
    missing = [str(row.path) for row in rows if not row.path.is_file()]
    if missing:
        raise DataError(
            f"{file}: {len(missing)} of {len(rows)} listed files do not exist: {listed(missing)}; "
            f"paths are relative to {file.parent}."
        )
    first: dict[Path, int] = {}
    _refuse(file, rows, lambda row: first.setdefault(row.path, row.line) != row.line, "a path that came before")
    return _collection(rows, names)


def _rows(file: Path) -> list[_Row]:
    try:
        with io.StringIO(read_text(file, "utf-8-sig"), newline="") as lines:
            reader = csv.DictReader(lines, restval="")
            columns = [str(column).strip().lower() for column in reader.fieldnames or []]
            reader.fieldnames = columns
            missing_columns = [column for column in _REQUIRED if column not in columns]
            if missing_columns:
                raise DataError(
                    f"{file}: expected the columns path, label and optionally split, separated by commas; "
                    f"lacking {listed(missing_columns)}, found {listed(columns) or 'none'}."
                )
            return [_row(file, reader.line_num, values) for values in reader]
    except OSError as error:
        raise DataError(f"{file}: the table cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a comma-separated UTF-8 table ({error}).") from error


def _row(file: Path, line: int, values: dict[str, str]) -> _Row:
    path, label, part = (values.get(column, "").strip() for column in (*_REQUIRED, "split"))
    return _Row(line, file.parent / path, label, part)


def _refuse(file: Path, rows: Iterable[_Row], wrong: Callable[[_Row], bool], what: str) -> None:
    lines = [str(row.line) for row in rows if wrong(row)]
    if lines:
        more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
        raise DataError(f"{file}: {what}, in line {', '.join(lines[:5])}{more}.")


def _unknown(rows: Iterable[_Row], names: Mapping[str, str]) -> str:
    unknown = sorted({row.split for row in rows if row.split and row.split.lower() not in names})
    return f"unknown split {listed(unknown)} (known: train, val, test)"


def _collection(rows: list[_Row], names: Mapping[str, str]) -> Collection:
    # By path, so that the order of the lines does not decide who is in which split.
    rows = sorted(rows, key=lambda row: row.path)
    classes = tuple(sorted({row.label for row in rows}))
    numbers = {name: number for number, name in enumerate(classes)}
    chosen: dict[str, list[_Row]] = {}
    for row in rows:
        chosen.setdefault(names[row.split.lower()] if row.split else "train", []).append(row)
    parts = {
        part: from_files([row.path for row in some], [numbers[row.label] for row in some])
        for part, some in chosen.items()
    }
    return Collection(classes, parts)
