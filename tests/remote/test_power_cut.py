"""What outlives a power cut: only what the disk was waited for; a slow disk delays requests and is not overtaken."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixprompt.core import DoubtError
from pixprompt.ledger import reply_ledger
from pixprompt.remote.messages import Incoming, Outgoing

from .scripted_sender import ScriptedSender, images, journal

NUMBERS = tuple(range(1, 41))


class Disk:
    """Keeps what is surely on the disk: a copy of the ledger at the end of each flush."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path, self.copies = path, list[Path]()
        self._fsync, self._lock = os.fsync, threading.Lock()
        self.slow: Callable[[], Any] = lambda: None
        patch.setattr(os, "fsync", self.flush)

    def flush(self, file: int) -> None:
        with self._lock:
            self.slow()
            folder = self.path.parent / f"copy {len(self.copies)}"
            folder.mkdir()
            for end in ("", "-wal"):
                name = f"{self.path.name}{end}"
                shutil.copy(self.path.with_name(name), folder / name)
            self._fsync(file)
            self.copies.append(folder / self.path.name)


class Watching(ScriptedSender):
    """Notes which copies were there when a request was sent."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk, self.sent = disk, dict[int, list[int]]()

    def send(self, outgoing: Outgoing, *, timeout: float) -> Incoming:
        copies = len(self.disk.copies)
        self.sent.setdefault(copies, []).extend(json.loads(outgoing.body)["images"])
        return super().send(outgoing, timeout=timeout)


def another_start(patch: pytest.MonkeyPatch) -> None:
    """The machine was started anew since the ledger was written."""
    patch.setattr(reply_ledger, "_boot", lambda: "another")


def test_whenever_the_power_goes_what_was_sent_is_answered_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disk = Disk(tmp_path / "l", patch)
        sender = Watching(disk)
        querier = journal(sender, tmp_path / "l", concurrency=3)
        for start in range(0, len(NUMBERS), 10):
            querier(images(*NUMBERS[start : start + 10]))
        querier.close()
    assert sorted(number for numbers in sender.sent.values() for number in numbers) == list(NUMBERS)
    assert 0 not in sender.sent  # nothing is sent before the disk was waited for

    another_start(monkeypatch)
    for count, copy in enumerate(list(disk.copies), 1):
        sent = {number for copies, numbers in sender.sent.items() if copies <= count for number in numbers}
        again = ScriptedSender()
        try:
            resumed = journal(again, copy, concurrency=3)
        except DoubtError:  # says so
            resumed = journal(again, copy, concurrency=3, in_doubt="skip")
        resumed(images(*NUMBERS))
        resumed.close()
        assert not sent & set(again.image_numbers)  # nothing is bought twice without being named


def test_the_same_start_of_the_machine_knows_what_was_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(numbers: list[int]) -> Any:
        raise KeyboardInterrupt

    querier = journal(ScriptedSender(killed), tmp_path / "l")
    with pytest.raises(KeyboardInterrupt):
        querier(images(1))
    planned = querier.ledger.plan([[b"a" * 32, b"b" * 32]])
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"l{end}", tmp_path / f"killed{end}")  # planned, and not begun
        shutil.copy(tmp_path / f"l{end}", tmp_path / f"cut{end}")
    querier.close()
    assert journal(ScriptedSender(), tmp_path / "killed").ledger.unresolved() == []
    another_start(monkeypatch)
    with pytest.raises(DoubtError, match=f"request {planned[0]} of .*2 images"):
        journal(ScriptedSender(), tmp_path / "cut")


def test_a_slow_disk_delays_what_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path / "l", monkeypatch)
    sender = ScriptedSender()
    querier = journal(sender, tmp_path / "l", concurrency=4)
    before = list[int]()

    def slow() -> None:
        before.append(len(sender.image_numbers))

    disk.slow = slow
    querier(images(*NUMBERS[:9]))
    querier.close()
    assert before[0] == 0  # the first request waits for the first plan
    assert before[-1] == 9  # and the answers are used after the last


@pytest.mark.parametrize("durability", ["full", "os"])
def test_durability_decides_whether_the_disk_is_waited_for(
    durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    querier = journal(ScriptedSender(), tmp_path / "l")
    querier.ledger.durability = durability
    flushed = list[int]()
    monkeypatch.setattr(os, "fsync", flushed.append)
    rows = querier(images(1, 2, 3))
    assert bool(flushed) == (durability == "full")
    shutil.copy(tmp_path / "l", tmp_path / "copy")  # a kill: what was written is there in either case
    shutil.copy(tmp_path / "l-wal", tmp_path / "copy-wal")
    querier.close()
    again = ScriptedSender()
    assert (journal(again, tmp_path / "copy")(images(1, 2, 3)) == rows).all()
    assert again.image_numbers == []
