"""Following a run: an event for every change of its files, until it is finished."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from pixprompt.serving import Limits
from pixprompt.ui import UiServer
from pixprompt.ui.follow import events


def values(event: str) -> dict[str, Any]:
    head, data = event.rstrip("\n").split("\n")
    payload: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert head.startswith("id: ")
    return {**payload, "id": int(head.removeprefix("id: "))}


def test_lines_come_as_they_are_written_and_the_end_with_the_result(runs: Path) -> None:
    done, run = runs / "done", runs / "begun"
    lines = (done / "history.jsonl").read_text().splitlines(keepends=True)
    changes = [
        lambda: None,
        lambda: (run / "history.jsonl").write_text("".join(lines[:5])),
        lambda: (run / ".run-lock").touch(),
        lambda: (run / "history.jsonl").write_text(lines[0]),
        lambda: shutil.copy(done / "result.json", run),
    ]

    async def wait() -> bool:
        changes.pop(0)()
        return True

    async def collect() -> list[dict[str, Any]]:
        return [values(event) async for event in events(run, 1, wait)]

    result = asyncio.run(collect())
    assert [[line["epoch"] for line in event["lines"]] for event in result] == [[2], [3, 4, 5], [], [1], []]
    assert [event["id"] for event in result] == [2, 5, 5, 1, 1]
    assert [event["restarted"] for event in result] == [False, False, False, True, False]
    assert [event["state"] for event in result] == ["not finished"] * 2 + ["learning"] * 2 + ["finished"]
    assert result[1]["text"].startswith("epoch 5 of 6")
    assert changes == []


def test_the_stream_of_a_finished_run_ends_by_itself(browser: TestClient) -> None:
    answer = browser.get("/events?run=done", headers={"last-event-id": "4"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line["epoch"] for line in values(answer.text)["lines"]] == [5, 6]


def test_the_end_of_the_server_ends_what_is_followed(runs: Path) -> None:
    with ExitStack() as running:
        server = running.enter_context(UiServer(runs, device="cpu", limits=Limits(grace=120.0)))
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        token = json.dumps({"token": server.url.partition("#")[2]})
        connection.request("POST", "/session", token, {"Origin": server.origin})
        answer = connection.getresponse()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        answer.read()
        connection.request("GET", "/events?run=begun", headers={"Cookie": cookie})
        stream = connection.getresponse()
        assert stream.readline() == b"id: 2\n"
        running.close()
        assert stream.read().endswith(b"\n\n")  # whole: a stream that is cut raises
        connection.close()
