"""The whole client against a server that fails on command: right answers, honest books, and no key anywhere.

PIXPROMPT_FAULTS=FILE adds one JSON line per fault to a file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pixprompt.cli import main
from pixprompt.core import EndpointError
from pixprompt.ledger import Budget
from pixprompt.ledger.reply_ledger import ReplyLedger
from pixprompt.remote import RemoteJournal, connect
from pixprompt.remote.calls.retry import RetryPolicy

from ..cli.toy import write_toy
from . import fault_scripts as plays
from .events import ManualTimers
from .fault_server import FaultServer, Play, refuse
from .paid_server import KEY, answer, describe

OTHER_ORDER = plays.edited(lambda body: {"answers": [_turned(item) for item in body["answers"]]}, "another order")
ONE_FAILS = plays.edited(lambda body: {"answers": [{"code": 9, "error": "busy"}, *body["answers"][1:]]}, "one fails")


def _turned(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "concepts": item["concepts"][::-1]}


def not_a_number(body: dict[str, Any]) -> dict[str, Any]:
    body["answers"][0]["concepts"][0]["value"] = float("nan")
    return body


def one_too_few(body: dict[str, Any]) -> dict[str, Any]:
    return {"answers": body["answers"][1:]}


HELPED: dict[str, tuple[Play, ...]] = {
    "dropped after the answer": (plays.drop(),),
    "hung up after the answer": (plays.hang_up(),),
    "reset before a byte was read": (refuse,),
    "500 once": (plays.status(500),),
    "503 again and again": (plays.status(503), plays.status(503), plays.status(503)),
    "408": (plays.status(408),),
    "slow down": (plays.throttle(0.05), plays.throttle(0.05)),
    "slow down until a date": (plays.throttle(0.0, as_date=True),),
    "truncated": (plays.truncated(),),
    "too slow": (plays.hang(),),
    "drop by drop": (plays.drip(0.2),),
    "no JSON": (plays.changed(lambda body: b"<html>"),),
    "NaN": (plays.edited(not_a_number),),
    "an answer too few": (plays.edited(one_too_few),),
    "one image failed": (ONE_FAILS,),
    "compressed": (plays.gzipped(),),
    "a bomb": (plays.bomb(17 << 20),),
    "too large": (plays.large(17 << 20),),
    "the connection ends with the answer": (plays.closing(),),
    "labels in another order": (OTHER_ORDER,),
}
REFUSED: dict[str, tuple[tuple[Play, ...], str]] = {
    "400": ((plays.status(400),), "refuses"),
    "401": ((plays.status(401),), "Check the credentials"),
    "the same 500 twice": ((plays.status(500), plays.status(500)), "fails in the same way each time"),
    "redirected to another host": ((plays.redirect("http://localhost:9/x"),), "redirected"),
    "never JSON": ((plays.changed(lambda body: b"<a>"), plays.changed(lambda body: b"<b>")), "cannot be read"),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def retry_policy(timeout: float, deadline: float) -> RetryPolicy:
        return RetryPolicy(timeout=timeout, deadline=deadline, first_wait=0.01, longest_wait=0.02)

    monkeypatch.setattr("pixprompt.remote.connection.RetryPolicy", retry_policy)
    monkeypatch.setenv("SHOP_KEY", KEY)


@pytest.fixture
def images() -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (9, 3, 16, 16), generator=draw) / 255


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[FaultServer], RemoteJournal]]:
    journals: list[RemoteJournal] = []

    def open_(server: FaultServer) -> RemoteJournal:
        model = connect(server.url, endpoint=str(describe(tmp_path)), rate=1000.0)
        journals.append(RemoteJournal(model, ReplyLedger(tmp_path / f"l{len(journals)}"), Budget(60), concurrency=2))
        return journals[-1]

    yield open_
    for journal in journals:
        journal.ledger.close()


def by_name(journal: RemoteJournal, rows: Tensor) -> list[dict[str, float]]:
    names = journal.spec.labels or ()
    return [{name: float(score) for name, score in zip(names, row, strict=True) if score} for row in rows]


def num_billed(server: FaultServer) -> int:
    """Images that the seller would put on the bill."""
    return sum(len(json.loads(received.body)["images"]) for received in server.received if received.billed)


def report(fault: str, outcome: str, server: FaultServer, journal: RemoteJournal) -> None:
    """Adds a line to the table of faults, FILE of PIXPROMPT_FAULTS."""
    if "PIXPROMPT_FAULTS" not in os.environ:
        return
    totals = journal.ledger.totals()
    counts = {"requests": totals.requests, "retried": totals.retried, "counted as billed": totals.images}
    with open(os.environ["PIXPROMPT_FAULTS"], "a") as file:
        file.write(json.dumps({"fault": fault, "outcome": outcome, "billed": num_billed(server), **counts}) + "\n")


@pytest.mark.parametrize("fault", HELPED)
def test_the_answers_are_the_right_ones_and_the_books_are_honest(
    fault: str, images: Tensor, timers: ManualTimers, opened: Callable[[FaultServer], RemoteJournal]
) -> None:
    with FaultServer(answer) as server:
        right = opened(server)
        expected = by_name(right, right(images))
    with FaultServer(answer, [None, *HELPED[fault]]) as server:
        server.on_pause = timers.expire
        journal = opened(server)
        assert by_name(journal, journal(images)) == expected
        totals = journal.ledger.totals()
        assert 9 <= num_billed(server) <= totals.images == journal.budget.spent  # never less than what is billed
        assert totals.in_doubt == 0
        num_requests = totals.requests
        assert len(server.received) <= num_requests  # each attempt is in the ledger, those that never arrived, too
        journal(images)
        assert journal.ledger.totals().requests == num_requests
        report(fault, "answered", server, journal)


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_helped_is_given_up_soon(
    fault: str, images: Tensor, opened: Callable[[FaultServer], RemoteJournal]
) -> None:
    script, message = REFUSED[fault]
    with FaultServer(answer, [None, *script]) as server:
        journal = opened(server)
        journal.concurrency = 1
        with pytest.raises(EndpointError, match=message):
            journal(images)
        assert len(server.received) == 1 + len(script)
        report(fault, f"given up: {message}", server, journal)
        journal(images)  # what was kept serves, and the rest is answered now
        assert num_billed(server) <= journal.ledger.totals().images


def everything_in(folder: Path) -> bytes:
    """All bytes of all files, and what the ledgers hold compressed."""
    results = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for path in folder.rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as file:
            bodies = file.execute("SELECT body FROM requests WHERE body IS NOT NULL").fetchall()
            results += [zlib.decompress(body) for (body,) in bodies]
    return b"\n".join(results)


@pytest.mark.slow
def test_a_key_is_sent_and_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    toy, described = write_toy(tmp_path), describe(tmp_path)
    monkeypatch.chdir(tmp_path)
    echo = json.dumps({"error": f"the key {KEY} is tired"}).encode()
    script = [None, plays.status(500, echo), plays.drop(), plays.throttle(0.01), plays.status(503, echo), OTHER_ORDER]
    with FaultServer(answer, [*script, *[None] * 8, plays.status(403, echo)]) as server:
        arguments = ["train", "--model", server.url, "--endpoint", str(described), "--data", toy.data, "--size", "4"]
        assert main([*arguments, "--budget", "160", "--rate", "500", "--out", "run"]) == 4
        assert main(["train", "--resume", "run"]) == 0
        assert main(["ledger", "run", "--requests"]) == 0
        assert main(["evaluate", "run"]) == 0
        keys = [received.headers["authorization"] for received in server.received]
    assert set(keys) == {f"Bearer {KEY}"}
    out, err = capfd.readouterr()
    assert "***" in err  # the endpoint's own words are told, without the key
    hidden = everything_in(tmp_path).replace(Path(__file__).read_bytes(), b"")
    assert b"***" in hidden
    for place in (out.encode(), err.encode(), hidden):
        assert KEY.encode() not in place
    (tmp_path / "run" / "leak").write_text(f"Bearer {KEY}")
    assert KEY.encode() in everything_in(tmp_path)  # negative control
