"""Images through a pipe: one image, or JSON lines with one image each, on stdin. No torch import."""

from __future__ import annotations

import base64
import binascii
import json
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click
from PIL import Image

from ...canvas import decode
from ...core import DataError, ImageError
from ...files import MAX_JSON_BYTES

__all__ = ["PIPE", "Record", "read_records", "reads_pipe"]

PIPE = "-"
"""Stands for stdin among inputs, and for stdout as --out."""
_END = b""
_MOST_BYTES = 2**30
"""Of one image; what is longer is cut off, and no image any more."""


@dataclass(frozen=True)
class Record:
    """One image of a pipe.

    Attributes:
        open: Returns it, an upright RGB image, or raises an ImageError; may be given `admit`, as of `decode`.
        fields: What is to stand in its line of the output, besides the result: all fields of its line but the image.
        alone: Whether it is all that was on stdin, and no line.
    """

    open: Callable[..., Image.Image]
    fields: dict[str, Any] = field(default_factory=dict)
    alone: bool = False


def reads_pipe(inputs: tuple[str, ...]) -> bool:
    """Returns whether stdin is the input.

    Raises:
        UsageError: It is one of several.
    """
    if PIPE in inputs and len(inputs) > 1:
        raise click.UsageError("'-' reads everything from stdin; it goes with no other input.")
    return PIPE in inputs


def read_records(most: int) -> Iterator[list[Record]]:
    """Yields the images on stdin as they come, up to `most` at a time and none held back for the next ones.

    A line is {"path": file} or {"image": base64}, with further fields that come back with the result. A line that is
    none of these is a record that cannot be opened.

    Raises:
        DataError: There is nothing.
    """
    stream = _open_stdin()
    first = next((line for line in iter(partial(stream.readline, MAX_JSON_BYTES + 1), b"") if line.strip()), b"")
    if not first:
        raise DataError("stdin is empty; expected an image, or JSON lines with a path or an image in base64 each.")
    if first.lstrip().startswith(b"{"):  # no image file begins like this
        yield from (list(map(_record, lines)) for lines in _batches(stream, first, most))
    else:
        yield [Record(partial(decode, first + stream.read(_MOST_BYTES)), {"path": PIPE}, alone=True)]


def _open_stdin() -> BinaryIO:
    """Opens a reader of stdin that Python does not close at its end: that would abort while a thread waits in it."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except OSError:  # no file
        return sys.stdin.buffer


def _batches(stream: BinaryIO, first: bytes, most: int) -> Iterator[list[bytes]]:
    """Yields lines as they come, up to `most` together."""
    lines: queue.Queue[bytes] = queue.Queue(most)

    def read() -> None:
        line = first
        while line:
            if line.strip():
                lines.put(line)
            while len(line) > MAX_JSON_BYTES and not line.endswith(b"\n"):
                line = stream.readline(MAX_JSON_BYTES + 1)  # the rest of one that is too long
            line = stream.readline(MAX_JSON_BYTES + 1)
        lines.put(_END)

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        batch = [line]
        while len(batch) < most and not lines.empty():
            batch.append(lines.get())
        yield [each for each in batch if each]
        if not batch[-1]:
            return


def _record(line: bytes) -> Record:
    try:
        if len(line) > MAX_JSON_BYTES:
            raise ValueError(f"longer than {MAX_JSON_BYTES} bytes")
        values = json.loads(line)
        if not isinstance(values, dict) or ("path" in values) == ("image" in values):
            raise ValueError("expected an object with either 'path' or 'image'")
        fields = {name: value for name, value in values.items() if name != "image"}
        source = values.get("path", values.get("image"))
        if not isinstance(source, str):
            raise ValueError("'path' and 'image' are texts")
        if "path" in values:
            return Record(partial(decode, Path(source)), fields)
        return Record(partial(_decode_base64, source), fields)
    except (ValueError, RecursionError) as error:
        return Record(partial(_refuse, f"not a line of JSON that names an image ({error})."))


def _decode_base64(text: str, **options: Any) -> Image.Image:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"image: no base64 ({error}).") from error
    return decode(content, **options)


def _refuse(reason: str, **options: Any) -> Image.Image:
    raise ImageError(reason)
