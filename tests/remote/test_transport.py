"""The transport over real sockets: each way to fail is told apart, and nothing is endless or repeated."""

from __future__ import annotations

import threading

import pytest

from pixprompt.remote.http.deadline import Deadline, Watchdog
from pixprompt.remote.http.transport import Transport
from pixprompt.remote.messages import Fault, FaultKind, Incoming, Outgoing
from pixprompt.remote.protocol import Endpoint

from . import fault_scripts as plays
from .events import LONG, ManualTimers, nobody_there, until
from .fault_server import Exchange, FaultServer, Play, head, refuse
from .one_request import BODY, KEY, post, send
from .toy_endpoint import ToyProtocol, answer, pictures

AFTER_SENDING = {
    "refused before it is read": refuse,  # something of it may have been read, for all that we know
    "dropped": plays.drop(),
    "hung up": plays.hang_up(),
    "truncated": plays.truncated(),
    "hanging": plays.hang(),
    "drip": plays.drip(0.05),
    "drip of headers": plays.drip(0.05, headers_too=True),
}


def test_a_reply_comes_whole(transport: Transport) -> None:
    incoming, server = send(transport)
    assert isinstance(incoming, Incoming)
    assert (incoming.status, incoming.body) == (200, answer(BODY, {})[2])
    assert incoming.headers["content-type"] == "application/json"
    assert 0 < incoming.seconds < LONG
    received = server.received[0]
    assert (received.method, received.body, received.headers["authorization"]) == ("POST", BODY, f"Bearer {KEY}")
    assert received.headers["accept-encoding"] == "gzip, deflate"
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize("play", AFTER_SENDING.values(), ids=AFTER_SENDING)
def test_what_breaks_after_sending_is_lost_and_not_repeated(
    transport: Transport, timers: ManualTimers, play: Play
) -> None:
    fault, server = send(transport, play, on_pause=timers.expire)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.LOST
    assert fault.billed
    assert server.num_billed <= 1  # no adapter has bought a second answer
    assert len(server.received) == (0 if play is refuse else 1)
    assert not any(received.sent for received in server.received)


def test_the_time_runs_by_itself(transport: Transport) -> None:
    with FaultServer(answer, [plays.drip(0.2, headers_too=True)]) as server, pytest.raises(Fault) as result:
        transport.send(post(server.url), timeout=0.3)  # all of it would take half a minute
    assert result.value.kind in (FaultKind.LOST, FaultKind.UNSENT)  # it may be over before anything is sent


def test_a_slow_reply_in_time_is_no_fault(transport: Transport) -> None:
    incoming, _ = send(transport, plays.drip(0.001))
    assert isinstance(incoming, Incoming)
    assert incoming.body == answer(BODY, {})[2]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/x", "https://127.0.0.1:{port}/x", "http://no.such.host.invalid"],
)
def test_no_connection_is_unsent(transport: Transport, url: str) -> None:
    with nobody_there() as port, pytest.raises(Fault, match="no connection") as error:
        transport.send(post(url.format(port=port)), timeout=LONG)
    assert error.value.kind is FaultKind.UNSENT
    assert not error.value.billed


def test_compressed_replies_are_read_and_bombs_are_not(transport: Transport) -> None:
    incoming, _ = send(transport, plays.gzipped())
    assert isinstance(incoming, Incoming)
    assert incoming.body == answer(BODY, {})[2]
    for play in (plays.bomb(8 << 20), plays.large((1 << 20) + 1)):
        fault, server = send(transport, play)
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.GARBLED
        assert "longer than 1048576 bytes" in fault.reason
        assert server.num_billed == 1
    incoming, _ = send(transport, plays.large(1 << 20))
    assert isinstance(incoming, Incoming)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip"])
def test_encodings_that_nobody_asked_for_are_garbled(transport: Transport, encoding: str) -> None:
    fault, _ = send(transport, plays.changed(lambda body: body, content_encoding=encoding))
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.GARBLED
    assert encoding in fault.reason
    assert fault.incoming is not None


def test_broken_compression_is_garbled(transport: Transport) -> None:
    fault, _ = send(transport, plays.changed(lambda _: b"no gzip at all", content_encoding="gzip"))
    assert isinstance(fault, Fault)
    assert (fault.kind, "decompressed" in fault.reason) == (FaultKind.GARBLED, True)


@pytest.mark.parametrize("code", [400, 401, 429, 500, 503])
def test_errors_come_back_with_a_short_body_and_without_the_key(transport: Transport, code: int) -> None:
    quoting = plays.status(code, f'{{"error": "bad key {KEY}"}}'.encode(), x_echo=KEY, set_cookie="session=abc")
    incoming, _ = send(transport, quoting)
    assert isinstance(incoming, Incoming)
    assert (incoming.status, incoming.body) == (code, b'{"error": "bad key ***"}')
    assert incoming.headers["x-echo"] == "***"
    assert "set-cookie" not in incoming.headers
    long, _ = send(transport, plays.status(code, (f"{KEY} " * 4000).encode()))
    assert isinstance(long, Incoming)
    assert len(long.body) <= 1 << 16
    assert b"sk-" not in long.body  # not even the half of it at the end


def test_the_status_of_an_error_survives_a_broken_body(transport: Transport) -> None:
    def play(exchange: object) -> None:
        exchange.write(b"HTTP/1.1 503 X\r\nContent-Length: 99\r\n\r\nshort")  # type: ignore[attr-defined]
        exchange.reset()  # type: ignore[attr-defined]

    incoming, _ = send(transport, plays.status(503, b"fine"))
    assert isinstance(incoming, Incoming)
    incoming, _ = send(transport, play)
    assert isinstance(incoming, Incoming)
    assert incoming.status == 503


def test_connections_stay_open_and_closed_ones_are_noticed(transport: Transport) -> None:
    with FaultServer(answer) as server:
        for _ in range(3):
            transport.send(post(server.url), timeout=LONG)
        assert server.num_connections == 1
        server.script.append(plays.closing())
        transport.send(post(server.url), timeout=LONG)
        until(lambda: not server.num_open)
        transport.send(post(server.url), timeout=LONG)
        assert (server.num_connections, server.num_billed) == (2, 5)


def test_a_connection_that_was_cut_is_not_used_again(transport: Transport, timers: ManualTimers) -> None:
    with FaultServer(answer, [None, plays.drip(0.05), plays.large(8 << 20)]) as server:
        server.on_pause = timers.expire
        transport.send(post(server.url), timeout=LONG)
        for kind in (FaultKind.LOST, FaultKind.GARBLED):
            with pytest.raises(Fault) as error:
                transport.send(post(server.url), timeout=LONG)
            assert error.value.kind is kind
        assert transport.send(post(server.url), timeout=LONG).body == answer(BODY, {})[2]
        assert server.num_connections == 3


def test_the_rest_of_a_long_reply_is_not_taken_for_the_next_one(transport: Transport) -> None:
    def play(exchange: Exchange) -> None:
        exchange.write(head(500, {"Content-Length": str(3 << 16)}) + b" " * (2 << 16))
        exchange.pause(0.1)
        exchange.write(b" " * (1 << 16))

    with FaultServer(answer, [play]) as server:
        assert transport.send(post(server.url), timeout=LONG).status == 500
        assert transport.send(post(server.url), timeout=LONG).status == 200
        assert server.num_connections == 2


@pytest.mark.parametrize(("status", "connections"), [(500, 2), (503, 2), (429, 1)])
def test_after_a_failure_inside_the_server_its_connection_is_not_used_again(
    transport: Transport, status: int, connections: int
) -> None:
    with FaultServer(answer, [plays.status(status, b"fails")]) as server:
        assert transport.send(post(server.url), timeout=LONG).status == status
        assert transport.send(post(server.url), timeout=LONG).status == 200
        assert server.num_connections == connections


def test_many_threads_share_one_transport() -> None:
    protocol = ToyProtocol(Endpoint("http://x", "toy"))
    results: dict[int, bool] = {}
    with FaultServer(answer) as server, Transport(concurrency=4) as transport:

        def run(number: int) -> None:
            outgoing = protocol.request(pictures(number + 1))
            whole = Outgoing(server.url, outgoing.body, outgoing.headers)
            replies = [transport.send(whole, timeout=LONG).body for _ in range(5)]
            results[number] = replies == [answer(outgoing.body, {})[2]] * 5

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == dict.fromkeys(range(4), True)
        assert server.num_connections <= 4
        assert len(server.received) == 20


def test_one_thread_ends_the_requests_whose_time_is_over_in_the_order_of_their_ends() -> None:
    watchdog, ended = Watchdog(), list[str]()

    class Named(Deadline):
        def __init__(self, name: str) -> None:
            super().__init__(LONG)
            self.name = name

        def expire(self) -> None:
            ended.append(self.name)

    before = threading.active_count()
    late, soon, never = Named("late"), Named("soon"), Named("never")
    watchdog.add(never, 0.05)
    watchdog.remove(never)
    watchdog.add(late, 0.06)
    watchdog.add(soon, 0.02)  # although the thread waits for a later one
    watchdog.add(Named("long"), LONG)
    until(lambda: len(ended) == 2)
    assert ended == ["soon", "late"]
    assert threading.active_count() == before + 1
