"""The wall clock is set back and forward, within a run and between runs: nothing waits for it, nothing is lost."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
import torch

from pixprompt.core import Access, ModelSpec
from pixprompt.ledger import Budget, LocalJournal
from pixprompt.ledger.ledger import Ledger
from pixprompt.ledger.summary import read_ledger
from pixprompt.remote.calls.clock import Clock
from pixprompt.remote.calls.faults import retry_after
from pixprompt.remote.http.deadline import Deadline, Watchdog

from .scripted_sender import ScriptedSender, fault, images, journal

JUMPS = (1.7e9, 1.7e9 + 86400 * 365, 3.0, 1.7e9 - 3600, 4.0e9)


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.cycle(JUMPS)
    monkeypatch.setattr(time, "time", lambda: next(times))


@pytest.mark.usefixtures("jumping")
def test_a_run_over_a_network_does_not_look_at_the_wall_clock(tmp_path: Path) -> None:
    numbers = tuple(range(1, 30))
    sender = ScriptedSender(None, fault("busy", 503), None, fault("throttled", 429))
    querier = journal(sender, tmp_path / "l", concurrency=2)
    rows = querier(images(*numbers))
    querier.close()
    again = ScriptedSender()
    resumed = journal(again, tmp_path / "l")
    assert torch.equal(resumed(images(*numbers)), rows)
    assert again.image_numbers == []
    resumed.close()
    summary = read_ledger(tmp_path / "l")
    assert summary["time"]["waiting"] >= 0
    assert (summary["answers"], summary["in_doubt"]["requests"]) == (len(numbers), 0)


@pytest.mark.usefixtures("jumping")
def test_times_of_a_local_ledger_are_never_negative(tmp_path: Path) -> None:
    class Net:
        spec, access = ModelSpec("net", (1, 1), 3), Access.SCORES

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :, 0, 0]

    querier = LocalJournal(Net(), Ledger(tmp_path / "l"), Budget(None), max_batch=1)
    querier(images(*range(1, 12)))
    querier.close()
    times = read_ledger(tmp_path / "l", requests=True)["time"]
    assert min(times["waiting"], times["median"], times["p95"]) >= 0


def test_deadlines_and_waits_follow_the_steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    watchdog, deadline = Watchdog(), Deadline(0.01)
    expired = threading.Event()
    monkeypatch.setattr(Deadline, "expire", lambda _: expired.set())
    watchdog.add(deadline, 0.01)
    assert expired.wait(60)
    clock = Clock()
    before = clock.now()
    clock.wait(0.001, threading.Event())
    assert clock.now() > before


@pytest.mark.parametrize("now", JUMPS)
def test_how_long_an_endpoint_asks_to_wait_is_by_its_own_clock(now: float) -> None:
    headers = {"date": "Mon, 01 Jan 2024 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2024 00:00:30 GMT"}
    assert retry_after(headers, now) == 30.0
    without = {"retry-after": "Mon, 01 Jan 2024 00:00:30 GMT"}
    assert (retry_after(without, now) or 0.0) <= 120.0
