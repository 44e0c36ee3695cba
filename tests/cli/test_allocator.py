"""Keeping freed memory: the call that is made, and that nothing happens where there is none."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from pixprompt.cli.allocator import keep_freed_memory


def test_asks_glibc_to_keep_large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = []
    library = SimpleNamespace(mallopt=lambda *values: queries.append(values))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert queries == [(-4, 0), (-1, 2**31 - 1)]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_does_nothing_without_glibc(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    monkeypatch.setattr(sys, "platform", platform)
    keep_freed_memory()
