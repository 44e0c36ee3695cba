"""Ctrl-C, twice, a full disk, and a second process: no answer that came is lost, and nobody is taken for dead."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from pixprompt.core import PixpromptError
from pixprompt.ledger import ReplyLedger
from pixprompt.ledger.ledger import Totals
from pixprompt.ledger.summary import read_ledger
from pixprompt.remote.calls.thread_pool import run_concurrently

from .events import LONG, count_stops, until
from .scripted_sender import ScriptedSender, images, journal
from .toy_endpoint import FakeClock


def test_a_second_ctrl_c_loses_no_answer_that_is_under_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(numbers: list[int]) -> list[dict[str, float]]:
        stops.clear()
        for num_replies in (2, 3, 4):  # the first one is heard twice: where it comes, and where the rest is finished
            press(num_replies)
        return [{"late": 1.0} for _ in numbers]

    def press(num_replies: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: len(stops) >= num_replies)

    stops = count_stops(monkeypatch)
    sender = ScriptedSender(None, interrupt)
    querier = journal(sender, tmp_path / "l", concurrency=1)
    with caplog.at_level(logging.WARNING, "pixprompt"), pytest.raises(KeyboardInterrupt), querier.ledger:
        querier(images(*range(9)))  # the ledger is closed as soon as this is left, as a run does
    assert len(sender.batches) == 2
    with ReplyLedger(tmp_path / "l") as ledger:
        assert ledger.totals() == Totals(3, 2, 0, 0, 0, 0)
    (messages,) = [record.getMessage() for record in caplog.records]
    assert messages == "finishing 1 requests that are under way (up to 60 s), then stopping."


def test_ctrl_c_while_requests_are_handed_out_waits_for_those_that_began() -> None:
    done, stopped = [], threading.Event()
    event = threading.Event()

    def work(part: int) -> None:
        event.set()
        stopped.wait(LONG)
        done.append(part)

    class Parts(list[int]):
        def __iter__(self) -> Any:
            yield 1
            event.wait(LONG)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_concurrently(work, Parts([1, 2]), at_once=2, stop=stopped.set, timeout=LONG)
    assert (done, stopped.is_set()) == ([1], True)


class FullDisk:
    """A ledger whose disk is full for a while."""

    def __init__(self, ledger: ReplyLedger, failures: int) -> None:
        self.ledger, self.failures = ledger, failures
        self.store_as_always = ledger.store

    def store(self, *any: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise PixpromptError("cannot use l as a ledger: disk is full.") from sqlite3.OperationalError("full")
        self.store_as_always(*any)


@pytest.mark.parametrize("failures", [3, 100])
def test_an_answer_waits_for_a_full_disk(
    failures: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    monkeypatch.setattr("pixprompt.remote.calls.attempts.Clock", lambda: clock)
    querier = journal(ScriptedSender())
    monkeypatch.setattr(querier.ledger, "store", FullDisk(querier.ledger, failures).store)
    if failures == 3:
        assert querier(images(1)).shape[0] == 1
        assert clock.waits == [1.0, 2.0, 4.0]
        assert "request 1 waits to be written" in caplog.text
        return
    with pytest.raises(PixpromptError, match="the answer to request 1 came and is lost"):
        querier(images(1))
    assert clock.time == 60.0
    assert querier.ledger.totals().in_doubt == 1


def test_what_is_wrong_for_good_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    querier = journal(ScriptedSender())

    def store(*any: Any) -> None:
        raise PixpromptError("request 1 does not wait for 1 answers.")

    monkeypatch.setattr(querier.ledger, "store", store)
    monkeypatch.setattr("pixprompt.remote.calls.attempts.Clock", FakeClock)
    with pytest.raises(PixpromptError, match="does not wait"):
        querier(images(1))


def opened_elsewhere(path: Path) -> bool:
    """Whether another process may write to a ledger."""
    child = os.fork()
    if not child:
        try:
            ReplyLedger(path).close()
        except PixpromptError as error:
            os._exit(3 if "in use by another process" in str(error) else 4)
        os._exit(0)
    return {0: True, 3: False}[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]


def test_a_ledger_in_use_is_not_taken_for_what_a_crash_left(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with ReplyLedger(path) as ledger:
        ledger.begin(ledger.plan([[b"k"]])[0], 1)  # under way, and not in doubt
        assert not opened_elsewhere(path)
        with ReplyLedger(path):
            pass
        assert not opened_elsewhere(path)  # closing a second one in this process gives nothing away
        assert read_ledger(path)["requests"] == 1  # looking is fine
    assert opened_elsewhere(path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["l"]


def test_a_process_that_died_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l"
    child = os.fork()
    if not child:
        ReplyLedger(path)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert opened_elsewhere(path)
