"""CIFAR's files are read without unpickling: the same numbers as by pickle, and nothing of what a pickle could do."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from pixprompt.data import load_data
from pixprompt.data.readers.official.cifar import read_batch

NAMES = ("cat", "dog")


def text(value: str) -> bytes:
    """A text as Python 2 wrote it."""
    raw = value.encode("latin-1")
    return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw


def numbers(values: list[int]) -> bytes:
    return b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"


def array(pixels: np.ndarray[Any, Any]) -> bytes:
    """An array as numpy wrote it under Python 2."""
    rows, columns = pixels.shape
    dtype = b"cnumpy\ndtype\nq\x0fU\x02u1q\x10K\x00K\x01\x87q\x11Rq\x12(K\x03U\x01|NNN"
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"cnumpy.core.multiarray\n_reconstruct\nq\x08cnumpy\nndarray\nq\tK\x00\x85q\nU\x01bq\x0b\x87q\x0cRq\r"
    shape = struct.pack("<cH", b"M", rows) + struct.pack("<cH", b"M", columns) + b"\x86"
    return content + b"(K\x01" + shape + dtype + b"\x89" + text(pixels.tobytes().decode("latin-1")) + b"tb"


def dictionary(**values: bytes) -> bytes:
    pairs = b"".join(text(name) + value for name, value in values.items())
    return b"\x80\x02}q\x01(" + pairs + b"u."


def batch(pixels: np.ndarray[Any, Any], labels: list[int], key: str = "labels") -> bytes:
    names = b"](" + b"".join(text(f"{index}.png") for index in range(len(labels))) + b"e"
    values = {"batch_label": text("training batch 1 of 5"), key: numbers(labels), "data": array(pixels)}
    return dictionary(**values, filenames=names)


@pytest.fixture
def pixels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)


def test_the_same_as_by_unpickling(pixels: np.ndarray[Any, Any], tmp_path: Path) -> None:
    content = batch(pixels, [0, 1, 0, 1, 1, 0])
    (tmp_path / "batch").write_bytes(content)
    right, result = pickle.loads(content, encoding="latin1"), read_batch(tmp_path / "batch")
    np.testing.assert_array_equal(result.pop("data"), right.pop("data"))
    assert result == right
    for protocol in (2, 4):
        again = pickle.dumps({"a": [1, (2, 3), None, True], "b": {"c": "é"}}, protocol)
        (tmp_path / "batch").write_bytes(again.replace(b"\x94", b"") if protocol == 4 else again)
        assert read_batch(tmp_path / "batch") == {"a": [1, (2, 3), None, True], "b": {"c": "é"}}


@pytest.mark.parametrize(("name", "key", "folder", "meta"), [
    ("cifar10", "labels", "cifar-10-batches-py", ("batches.meta", "label_names")),
    ("cifar100", "fine_labels", "cifar-100-python", ("meta", "fine_label_names")),
])  # fmt: skip
def test_a_whole_set_from_disk_and_pickle_is_never_called(
    name: str, key: str, folder: str, meta: tuple[str, str], pixels: np.ndarray[Any, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from torchvision import datasets

    base: Any = getattr(datasets, name.upper())
    content = {file: batch(pixels, [0, 1] * 3, key) for file, _ in base.train_list + base.test_list}
    content[meta[0]] = dictionary(**{meta[1]: b"](" + b"".join(map(text, NAMES)) + b"e"})
    (tmp_path / folder).mkdir()
    for file, value in content.items():
        (tmp_path / folder / file).write_bytes(value)
    for part in ("train_list", "test_list"):
        digests = [[file, hashlib.md5(content[file]).hexdigest()] for file, _ in getattr(base, part)]
        monkeypatch.setattr(base, part, digests)
    monkeypatch.setenv("PIXPROMPT_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.cifar.pickle", None)
    data = load_data(name, seed=0)
    assert data.classes == NAMES
    assert len(data.test) == 6
    image = np.asarray(data.test.open(3))
    np.testing.assert_array_equal(image, pixels[3].reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.mark.parametrize("content", [
    b"cos\nsystem\n(U\x05touchtR.", b"\x80\x02cbuiltins\neval\nU\x011\x85R.", b"(ios\nsystem\nU\x011.",
    b"cnumpy\nndarray\n)R.", b"cnumpy\nndarray\n)\x81.", b"\x8c\x02os\x8c\x06system\x93.", b"P1\n.", b"]a.",
    b"}U\x01aKu.", b"", b".", b"K\x01K\x02.", b"0.", b"h\x05.", b"]q\x01h\x01a.", b"t.", b"\x80\x04\x95" + b"\xff" * 8,
    b"B\xff\xff\xff\x7f.", b"T\xff\xff\xff\xff.", b"}K\x01s.",
])  # fmt: skip
def test_anything_else_is_an_error_and_is_not_done(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("it was run"))
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(ValueError, match="batch is no file of CIFAR"):
        read_batch(tmp_path / "batch")


@settings(max_examples=50)
@given(drawn=st.data())
def test_damage_is_an_error_or_a_dictionary(drawn: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(batch(np.zeros((2, 30), np.uint8), [0, 1]))
    for _ in range(drawn.draw(st.integers(1, 4))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: drawn.draw(st.integers(0, len(content)))])
    with suppress(ValueError):
        assert isinstance(read_batch(path), dict)
