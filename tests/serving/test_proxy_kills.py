"""A proxy that is killed, or told to end, in the midst of requests: its ledger misses no answer."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from pixprompt.canvas.encoding import encode_png
from pixprompt.ledger.summary import read_ledger
from pixprompt.serving import Request, Response

from ..images import make_prompt
from .clients import LONG, until
from .upstream import as_json, upstream

CLIENTS, ROUNDS = 8, 12


def is_whole(request: Request) -> bool:
    return len(request.body) == int(request.headers["content-length"])


def digest_of(request: Request) -> str:
    return hashlib.sha256(request.body).hexdigest()


def answer(request: Request) -> Response:
    return as_json([{"label": digest_of(request), "score": 1.0}])


@contextmanager
def running(folder: Path, url: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    code = "import sys; from pixprompt.cli import main; sys.exit(main())"
    options = ["p.png", "--to", url, "--port", "0", "--ledger", "l.sqlite", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "proxy", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line, process.communicate()[1]
            yield process, json.loads(line)["port"]
        finally:
            process.kill()


class Clients:
    """Send new images, one after another each, until the proxy has gone; know what they were answered."""

    def __init__(self, port: int, seed: int) -> None:
        self.answered: list[str] = []
        self._port, self._seed = port, seed
        self._threads = [threading.Thread(target=self._work, args=(index,)) for index in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(LONG)

    def _work(self, index: int) -> None:
        rng = np.random.default_rng((self._seed, index))
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=LONG)) as connection:
            for _ in count():
                content = encode_png(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
                try:
                    connection.request("POST", "/", content)
                    reply = connection.getresponse()
                    body = reply.read()
                except (OSError, HTTPException):
                    return
                assert reply.status in (200, 503)
                if reply.status == 503:
                    return
                self.answered.append(json.loads(body)[0]["label"])


def in_ledger(path: Path, condition: str = "1") -> Counter[str]:
    with closing(sqlite3.connect(path)) as file:
        return Counter(row[0].hex() for row in file.execute(f"SELECT digests FROM requests WHERE {condition}"))


@pytest.mark.slow
def test_no_kill_loses_an_answer_or_leaves_a_request_unnamed(tmp_path: Path) -> None:
    make_prompt((32, 32)).save(tmp_path / "p.png")
    answered: list[str] = []
    with upstream(answer) as behind:
        for number in range(ROUNDS):
            with running(tmp_path, behind.url) as (process, port):
                clients = Clients(port, number)
                until(lambda proxy=clients, expected=5 + 7 * number: len(proxy.answered) >= expected)  # type: ignore[misc]
                process.send_signal(signal.SIGKILL)
                process.wait(LONG)
            clients.join()
            answered += clients.answered
            summary = read_ledger(tmp_path / "l.sqlite")
            assert summary["in_doubt"]["requests"] <= (number + 1) * CLIENTS
    path = tmp_path / "l.sqlite"
    counts = Counter(digest_of(request) for request in behind.requests if is_whole(request))
    assert not counts - in_ledger(path)  # written down before it was sent
    assert not Counter(answered) - in_ledger(path, "answered IS NOT NULL")  # before it was passed on
    assert len(answered) >= sum(5 + 7 * number for number in range(ROUNDS))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    sys.stdout.write(f"{ROUNDS} kills: {len(answered)} answers, {summary['in_doubt']['requests']} requests in doubt\n")


@pytest.mark.slow
def test_sigterm_ends_after_what_is_under_way(tmp_path: Path) -> None:
    make_prompt((32, 32)).save(tmp_path / "p.png")
    with upstream(answer) as behind, running(tmp_path, behind.url) as (process, port):
        clients = Clients(port, 0)
        until(lambda: len(clients.answered) >= 20)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=LONG)
        assert (process.returncode, out, err) == (0, "", "")
        clients.join()
        summary = read_ledger(tmp_path / "l.sqlite")
        assert (summary["in_doubt"]["requests"], summary["failed"]) == (0, 0)
        assert summary["answered"] == len(behind.requests) == len(clients.answered)
