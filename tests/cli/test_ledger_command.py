"""`pixprompt ledger`, and what a person is asked when answers are in doubt."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from pixprompt.cli import main
from pixprompt.cli.calls import with_policy
from pixprompt.core import DoubtError
from pixprompt.ledger.reply_ledger import ReplyLedger
from pixprompt.replies.incoming import Incoming


def sent(ledger: ReplyLedger, keys: list[bytes], retry_of: int | None = None) -> int:
    """A request that is planned and sent."""
    (request,) = ledger.plan([keys])
    ledger.begin(request, len(keys), retry_of=retry_of)
    return request


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    with ReplyLedger(path) as ledger:
        ledger.endpoint = "e"
        facts = {"encoding": "png", "protocol": "v2", "url": "http://x/m"}
        ledger.write_meta(endpoint_e=json.dumps(facts), price_per_1000="1.5")
        came = Incoming(200, {}, b"{}", 0.25)
        first = sent(ledger, [b"a", b"b"])
        ledger.fail(first, "HTTP 503\x1b[31m: busy", kind="busy", billed=True, incoming=came, bytes_sent=2048)
        ledger.store(sent(ledger, [b"a", b"b"], retry_of=first), ["cat", "dog"], [None, None], came, 2048)
        ledger.fail(sent(ledger, [b"c"]), "no connection", kind="unsent", billed=False)
        sent(ledger, [b"d"])
        ledger.count_hits(5)
    return path


def test_a_ledger_in_words(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(file), "--requests"]) == 0
    out = capsys.readouterr().out
    for line in (
        "endpoint    http://x/m (v2, png)",
        "queries     5 billed, or perhaps billed; 2 answers are kept",
        "cached      5 answered from here instead",
        "requests    4: 1 answered, 2 failed",
        "retried     1 of these requests repeat one that failed",
        "in doubt    1 requests about 1 images",
        "bytes       4.0 KiB sent, 4 bytes received",
        "cost        0.0075",
    ):
        assert line in out.splitlines()
    assert re.search(r"request 4 of 20\S+Z, 1 images: undecided, or under way", out)
    assert re.search(r"unsent +- +1 +1$", out, re.MULTILINE)
    assert re.search(r"^1 +2 +busy +503|^1 +2 +busy +200 .*HTTP 503\?\[31m: busy$", out, re.MULTILINE)
    assert "\x1b" not in out


def test_a_negative_price_is_wrong_usage(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(file), "--price-per-1000", "-1"]) == 2
    assert "x>=0" in capsys.readouterr().err


def test_a_ledger_in_json_of_a_run_directory(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(file.parent), "--json", "--price-per-1000", "2"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["queries"], output["cost"], output["not_billed"], output["price_per_1000"]) == (5, 0.01, 1, 2.0)
    assert "list" not in output
    assert (
        sum(line["requests"] for line in output["by_status"])
        == sum(line["requests"] for line in output["by_hour"])
        == 4
    )


def test_a_file_that_is_no_ledger_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(tmp_path / "none")]) == 1
    assert "there is no ledger" in capsys.readouterr().err


@pytest.mark.parametrize(("message", "expected"), [("retry", "retry"), ("skip", "skip"), ("stop", None)])
def test_a_person_is_asked_what_to_do(message: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(policy: str | None) -> str:
        if policy is None:
            raise DoubtError("2 requests are in doubt")
        return policy

    with pytest.raises(DoubtError):
        with_policy(work, None)  # nobody is there
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda *args, **options: message)
    if expected is None:
        with pytest.raises(DoubtError):
            with_policy(work, None)
    else:
        assert with_policy(work, None) == expected
    assert with_policy(work, "skip") == "skip"


def test_what_a_ledger_says_cannot_steer_the_terminal(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ReplyLedger(file) as ledger:
        ledger.write_meta(endpoint_e=json.dumps({"url": "http://x/\x1b[2J", "protocol": "v2"}))
    with closing(sqlite3.connect(file)) as plain:
        plain.execute("UPDATE requests SET resolved = 'no\x1b[31m' WHERE answered IS NULL AND failure IS NULL")
        plain.commit()
    assert main(["ledger", str(file)]) == 0
    out = capsys.readouterr().out
    assert "endpoint    http://x/?[2J (v2, -)" in out
    assert "no?[31m" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("name", "value"), [("endpoint_e", "{"), ("endpoint_e", "3"), ("price_per_1000", "x"), ("cached_images", "y")]
)
def test_a_ledger_whose_texts_are_damaged_is_told(
    name: str, value: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(file)) as plain:
        plain.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
        plain.commit()
    assert main(["ledger", str(file)]) == 1
    assert "is damaged" in capsys.readouterr().err
