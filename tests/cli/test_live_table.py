"""The table of a benchmark on a terminal and in a log."""

from __future__ import annotations

import io
import sys

import pytest

from pixprompt.bench.run import Update
from pixprompt.bench.summary import Row, Summary, Value
from pixprompt.cli.live_table import LiveTable


class Terminal(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def update(mean: float | None, *running: str) -> Update:
    rows = (Row("a", {"data": "a"}, ("a",), False),)
    return Update(Summary(rows, ("old",), {("a", "old"): Value(mean)}, 0 if mean is None else 1, 2), running, ())


def test_a_terminal_sees_one_table_that_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(True)
    monkeypatch.setattr(sys, "stderr", terminal)
    table = LiveTable()
    table.update(update(None, "a, old, seed 0"))
    table.note("not shown there")
    first = terminal.getvalue()
    assert "0 of 2 runs, 0 failed" in first
    assert "running: a, old, seed 0" in first
    table.update(update(0.25))
    lines = first.count("\n")
    assert terminal.getvalue()[len(first) :].startswith(f"\x1b[{lines}A\x1b[J")
    assert "25.0" in terminal.getvalue()
    assert "not shown" not in terminal.getvalue()
    table.close()
    assert terminal.getvalue().endswith("A\x1b[J")


def test_a_log_gets_lines_and_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(False)
    monkeypatch.setattr(sys, "stderr", terminal)
    table = LiveTable()
    table.update(update(None, "a"))
    table.stage("learn", 3)
    table.advance(2)
    table.epoch({"epoch": 1, "val_accuracy": 0.5})
    table.note("run 1 of 2: a")
    table.close()
    assert terminal.getvalue() == "run 1 of 2: a\n"
