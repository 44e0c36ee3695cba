"""The peers leave nothing behind, and the check for that sees what is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .servers import group_is_gone, missing, running

pytestmark = [pytest.mark.peers, pytest.mark.slow]

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
print("up", flush=True)
time.sleep(60)
"""


def test_a_server_that_will_not_go_and_its_children_are_killed_when_a_test_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{running.__module__}._LONGEST_END", 0.5)
    log = tmp_path / "log.txt"
    command = [sys.executable, "-c", STUBBORN]
    try:
        with running(command, os.environ, tmp_path, log) as process:
            while log.read_text().count("up") < 2:
                assert process.poll() is None
            assert not group_is_gone(process.pid)
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert group_is_gone(process.pid)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{missing.__module__}.PEERS", tmp_path)
    assert missing("triton") == f"no triton at {tmp_path}; .ci/peers makes it"
