"""The whole way over real sockets, fault by fault: what is answered, how often it is bought, and what nobody sees."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pixprompt.core import EndpointError
from pixprompt.remote.calls.rate_limit import RateLimit
from pixprompt.remote.http.transport import Transport
from pixprompt.remote.messages import FaultKind

from . import fault_scripts as plays
from .events import ManualTimers, nobody_there
from .fault_server import FaultServer, Play, refuse
from .one_request import KEY, post
from .toy_endpoint import QUICK, AttemptRecorder, answer, caller, pictures, scores


def first_failed(reply: dict[str, Any]) -> dict[str, Any]:
    reply["answers"][0] = {"error": "overloaded"}
    return reply


def nan(reply: dict[str, Any]) -> dict[str, Any]:
    reply["answers"][0]["cat"] = float("nan")
    return reply


def other_order(reply: dict[str, Any]) -> dict[str, Any]:
    return {"answers": [dict(reversed(item.items())) for item in reply["answers"]]}


def one_short(reply: dict[str, Any]) -> dict[str, Any]:
    return {"answers": reply["answers"][1:]}


# Per play: what the attempts are written down as, and how many answers were worked out in all.
ONE_FAULT: dict[str, tuple[Play, list[str], int]] = {
    "refused": (refuse, ["lost"], 1),
    "dropped": (plays.drop(), ["lost"], 2),
    "hung up": (plays.hang_up(), ["lost"], 2),
    "truncated": (plays.truncated(), ["lost"], 2),
    "slow": (plays.drip(0.1), ["lost"], 2),
    "hanging": (plays.hang(), ["lost"], 2),
    "429": (plays.throttle(), ["throttled"], 1),
    "429 for 0.2 s": (plays.throttle(0.2), ["throttled"], 1),
    "429 until a date": (plays.throttle(1.0, as_date=True), ["throttled"], 1),
    "500": (plays.status(500), ["busy"], 1),
    "503": (plays.status(503, retry_after="0.1"), ["busy"], 1),
    "no JSON": (plays.changed(lambda _: b"<html>"), ["garbled"], 2),
    "NaN": (plays.edited(nan), ["garbled"], 2),
    "too few": (plays.edited(one_short), ["garbled"], 2),
    "too long": (plays.large(1 << 21), ["garbled"], 2),
    "bomb": (plays.bomb(1 << 23), ["garbled"], 2),
    "one image failed": (plays.edited(first_failed), [], 2),
    "gzip": (plays.gzipped(), [], 1),
    "another order": (plays.edited(other_order), [], 1),
    "closing": (plays.closing(), [], 1),
    "redirect": (plays.redirect("/elsewhere"), [], 1),
}


@pytest.mark.parametrize("name", ONE_FAULT)
def test_one_fault_is_survived(name: str, transport: Transport, timers: ManualTimers) -> None:
    play, kinds, billed = ONE_FAULT[name]
    book = AttemptRecorder()
    with FaultServer(answer, [play]) as server:
        server.on_pause = timers.expire
        result = caller(transport, url=server.url, retry_policy=QUICK, rate_limit=RateLimit(1000.0, burst=2)).query(
            pictures(2), book
        )
        assert result == [scores(0), scores(1)]
        assert (book.kinds, server.num_billed) == (kinds, billed)
    assert book.is_legal
    # The books never say less than what the other side has on its own.
    charged = sum(word == "received" for word, _ in book.events) + sum(fault.billed for fault in book.faults)
    assert charged >= server.num_billed


@pytest.mark.parametrize("play", [plays.status(400), plays.status(401), plays.redirect("http://127.0.0.1:1/x")])
def test_what_cannot_help_is_asked_once(play: Play, transport: Transport) -> None:
    with FaultServer(answer, [play] * 3) as server:
        with pytest.raises(EndpointError, match="refuses"):
            caller(transport, url=server.url, retry_policy=QUICK).query(pictures(2), AttemptRecorder())
        assert len(server.received) == 1


def test_nobody_there_is_an_error_that_costs_nothing(transport: Transport) -> None:
    book = AttemptRecorder()
    with nobody_there() as port, pytest.raises(EndpointError, match=r"6 x unsent.*Check the address"):
        caller(transport, url=f"http://127.0.0.1:{port}/model", retry_policy=QUICK).query(pictures(2), book)
    assert not any(fault.billed for fault in book.faults)


def test_the_key_is_nowhere(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint quotes it back in every way it can; nothing that is raised, logged or written down holds it."""
    caplog.set_level(logging.DEBUG)
    quoting = [
        plays.status(500, f"a {KEY}".encode(), x_key=KEY),
        plays.status(503, json.dumps({"got": {"authorization": f"Bearer {KEY}"}}).encode()),
        plays.changed(lambda _: f"<p>{KEY}</p>".encode(), x_request_id=KEY),
        plays.edited(lambda reply: {"answers": [{"error": f"no {KEY}"}, reply["answers"][1]]}),
        plays.status(401, f"Incorrect API key provided: {KEY}".encode()),
    ]
    book = AttemptRecorder()
    with FaultServer(answer, quoting) as server:
        with pytest.raises(EndpointError) as error:
            caller(transport, url=server.url, retry_policy=QUICK).query(pictures(2), book)
        assert all(KEY in received.headers["authorization"] for received in server.received)
    assert book.kinds == ["busy", "busy", "garbled", "refused"]
    written = [str(error.value), caplog.text, str(error.value.__context__)]
    for fault in book.faults:
        written += [str(fault), repr(fault.incoming)]
    assert all(KEY not in text for text in written)
    assert "***" in str(error.value)  # it was there
    assert FaultKind.REFUSED in [fault.kind for fault in book.faults]


@pytest.mark.parametrize("patient", [False, True])
def test_a_client_that_retries_everything_below_the_ledger_is_caught_buying_more(
    patient: bool, transport: Transport
) -> None:
    """Negative control: the same server, and the retries that are usual elsewhere."""
    script = [plays.drop(), plays.drop(), plays.truncated(), None]
    with FaultServer(answer, script) as server:
        book = AttemptRecorder()
        if patient:
            caller(transport, url=server.url, retry_policy=QUICK).query(pictures(2), book)
        else:
            retries = Retry(4, allowed_methods=None, status_forcelist=[429, 500, 503], backoff_factor=0)
            with requests.Session() as session:
                session.mount("http://", HTTPAdapter(max_retries=retries))
                book.begin([0, 1])
                outgoing = post(server.url)
                with contextlib.suppress(requests.RequestException):
                    session.post(outgoing.url, outgoing.body, headers=dict(outgoing.headers))
        assert (server.num_billed == len(book.positions)) is patient
        assert server.num_billed >= 3
