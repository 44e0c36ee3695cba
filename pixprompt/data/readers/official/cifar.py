"""The files of CIFAR-10 and CIFAR-100, which are pickles, read without unpickling: no code that they name is looked up.

They were written by Python 2 and hold a dictionary of texts, lists and one array of bytes. Each instruction that such a
file needs is carried out here on plain values; what would be a call is a name that is compared with the two that numpy
writes for an array, and anything else is an error.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cifar_reader", "read_batch"]

_MAX_BYTES = 256 << 20
_MARK = object()
_DTYPE = "numpy dtype"
_ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_VALUES = (
    *("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
    *("BININT", "BININT1", "BININT2", "LONG1", "NONE"),
)
_NEW: dict[str, Callable[[], Any]] = {
    **{"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "MARK": lambda: _MARK},
    **{"NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
}


@dataclass(frozen=True)
class _Name:
    """What a pickle would import."""

    name: str


@dataclass
class _Array:
    """An array, or the type of one, which is filled in by the instruction after the one that makes it."""

    dtype: str
    pixels: npt.NDArray[np.uint8] | None = None


class _Machine:
    """Carries out the instructions of one file."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """Returns the value that a file holds.

        Raises:
            ValueError: There is an instruction that a data file does not need.
        """
        for code, argument, _ in pickletools.genops(content):
            if code.name == "STOP":
                (value,) = self._stack
                return value
            self._step(code.name, argument)
        raise ValueError("it has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[argument] = stack[-1]
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = self._above_mark()
                stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                pairs = self._above_mark() if name == "SETITEMS" else [stack.pop(), stack.pop()][::-1]
                stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
            case "BUILD":
                _fill(stack.pop(), stack[-1])
            case _:
                stack.append(self._value(name, argument))

    def _value(self, name: str, argument: Any) -> Any:
        """Returns what an instruction puts on the stack."""
        if name in _NEW:
            return _NEW[name]()
        match name:
            case "TUPLE":
                return tuple(self._above_mark())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                return tuple([self._stack.pop() for _ in range(int(name[-1]))][::-1])
            case "BINGET" | "LONG_BINGET" | "GET":
                return self._memo[argument]
            case "GLOBAL":
                return _name(argument)
            case "REDUCE":
                return _call(self._stack.pop(), self._stack.pop())
        if name not in _VALUES:
            raise ValueError(f"the instruction {name} does not belong into a file of images")
        return argument

    def _above_mark(self) -> list[Any]:
        """Takes what lies above the last mark off the stack."""
        place = next(index for index in reversed(range(len(self._stack))) if self._stack[index] is _MARK)
        values, self._stack[place:] = self._stack[place + 1 :], []
        return values


def _name(name: str) -> _Name:
    """Returns one of the names that an array needs; imports nothing."""
    if name not in (*_ARRAY, _DTYPE, "numpy ndarray"):
        raise ValueError(f"it asks for {name!r}, and no file decides what is run")
    return _Name(name)


def _call(arguments: Any, function: Any) -> _Array:
    """Returns the array, or the type, that a call of one of the names stands for."""
    if not isinstance(function, _Name) or function.name not in (*_ARRAY, _DTYPE):
        raise ValueError("it calls something that makes no array")
    return _Array(str(arguments[0]) if function.name == _DTYPE else "")


def _fill(state: Any, target: Any) -> None:
    """Fills an array with its bytes; what else describes a type makes no difference for bytes."""
    if not isinstance(target, _Array) or not isinstance(state, tuple):
        raise ValueError("it fills in something that is no array")
    if not target.dtype:
        target.pixels = _pixels(*state[1:5])


def _pixels(shape: Any, dtype: Any, in_columns: Any, content: Any) -> npt.NDArray[np.uint8]:
    if not isinstance(dtype, _Array) or dtype.dtype not in ("u1", "uint8") or in_columns:
        raise ValueError("its array is not one of bytes")
    raw = content.encode("latin-1") if isinstance(content, str) else bytes(content)
    return np.frombuffer(raw, np.uint8).reshape([int(side) for side in shape])


def read_batch(path: str | Path) -> dict[str, Any]:
    """Reads a file of CIFAR.

    Returns:
        Its dictionary; "data" is an array (N, 3072) uint8 in a file of images.

    Raises:
        ValueError: It is damaged, or asks for something that a file of images does not need.
    """
    path = Path(path)
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} is longer than any file of CIFAR")
    try:
        value = _Machine().run(path.read_bytes())
        entries = {str(key): item.pixels if isinstance(item, _Array) else item for key, item in value.items()}
    except (LookupError, TypeError, AttributeError, StopIteration, UnicodeError, OverflowError, ValueError) as error:
        raise ValueError(f"{path} is no file of CIFAR: {error}") from error
    return entries


def cifar_reader(kind: str) -> Callable[..., Any]:
    """Returns a class that finds and downloads a set as torchvision's does, and reads it by `read_batch`.

    Args:
        kind: "CIFAR10" or "CIFAR100".
    """
    from torchvision import datasets

    base: Any = getattr(datasets, kind)

    class Reader(base):  # type: ignore[misc]
        def __init__(self, root: str, *, train: bool, download: bool = False) -> None:
            datasets.VisionDataset.__init__(self, root)
            if download:
                self.download()
            if not self._check_integrity():
                raise RuntimeError("the files are missing, or not those that are known")
            folder = Path(root) / self.base_folder
            batches = [read_batch(folder / name) for name, _ in (self.train_list if train else self.test_list)]
            self.data = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
            self.data = self.data.transpose(0, 2, 3, 1)
            key = "labels" if "labels" in batches[0] else "fine_labels"
            self.targets = [label for batch in batches for label in batch[key]]
            self.classes = read_batch(folder / self.meta["filename"])[self.meta["key"]]

    return Reader
