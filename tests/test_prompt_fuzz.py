"""Any bytes as a prompt file: a prompt or a PromptError that names the file, and never more than that."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from pixprompt.core import PromptError
from pixprompt.prompt import load

from .images import make_prompt

FUZZ = settings(derandomize=True, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "p.png"
    make_prompt().save(path)
    load(path)  # whole, it is one
    return path.read_bytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def survives(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    reason = None
    try:
        load(path)
    except PromptError as error:
        reason = str(error)
    assert reason is None or str(path) in reason


@FUZZ
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes(saved: bytes, tmp_path: Path, places: list[tuple[float, int]]) -> None:
    content = bytearray(saved)
    for where, value in places:
        content[int(where * len(content))] = value
    survives(tmp_path / "p.png", bytes(content))


@FUZZ
@given(begin=st.floats(0, 1), end=st.floats(0, 1))
def test_missing_bytes(saved: bytes, tmp_path: Path, begin: float, end: float) -> None:
    low, high = sorted((int(begin * len(saved)), int(end * len(saved))))
    survives(tmp_path / "p.png", saved[:low] + saved[high:])


@FUZZ
@given(values=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["schema", "canvas", "size", "template", "views", "metadata_sha256", "output"]), inner
    ),
    max_leaves=20,
))  # fmt: skip
def test_any_json_as_metadata(tmp_path: Path, values: object) -> None:
    text = chunk(b"iTXt", b"pixprompt\0\0\0\0\0" + json.dumps(values).encode())
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4)).save(buffer, "PNG")
    plain = buffer.getvalue()
    survives(tmp_path / "p.png", plain[:33] + text + plain[33:])  # behind the header


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    survives(tmp_path / "p.png", content)
    survives(tmp_path / "p.png", b"\x89PNG\r\n\x1a\n" + content)
