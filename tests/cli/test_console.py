"""What a run writes where there is no terminal: a line now and then, with the time that is left."""

from __future__ import annotations

import io
import re
import threading

import pytest

from pixprompt.cli.console import Console


class Lines(io.StringIO):
    """Sets an event when a line matches."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self.pattern, self.event = pattern, threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if re.search(self.pattern, self.getvalue()):
            self.event.set()
        return count


def test_a_log_has_a_line_between_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(r"train: 25 of 100 images in \d+ s, \d+ s left")
    monkeypatch.setattr("sys.stderr", lines)
    console = Console(interval=0.01)
    console.stage("train", 100)
    console.advance(25)
    assert lines.event.wait(60)
    console.close()


def test_nothing_is_written_between_where_lines_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines("never")
    monkeypatch.setattr("sys.stderr", lines)
    console = Console(interval=3600)
    console.stage("train", 100)
    console.advance(25)
    console.note("so")
    console.close()
    assert lines.getvalue() == "train: 100 images\nso\n"
