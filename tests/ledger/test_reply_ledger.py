"""Ledgers of remote models: replies bit by bit, retries by name, doubts with a decision, plans."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pixprompt.core import PixpromptError
from pixprompt.ledger.ledger import Ledger, Totals
from pixprompt.ledger.reply_ledger import SKIPPED, ReplyLedger, from_bytes, to_bytes
from pixprompt.ledger.summary import read_ledger
from pixprompt.replies.incoming import Incoming

KEYS = [bytes([i]) * 32 for i in range(6)]
CAME = Incoming(200, {"x-request-id": "1"}, b'{"scores": [1, 2]}', 0.5)
NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec=None))
REPLIES = st.lists(NUMBERS, max_size=5) | st.dictionaries(TEXTS, NUMBERS, max_size=4) | TEXTS


def sent(
    ledger: ReplyLedger, keys: list[bytes], replicate: int, digests: list[bytes], retry_of: int | None = None
) -> int:
    """A request that is planned and sent."""
    (request,) = ledger.plan([keys], replicate)
    ledger.begin(request, len(keys), digests, retry_of=retry_of)
    return request


@given(REPLIES)
def test_replies_come_back_bit_by_bit(reply: Any) -> None:
    values = np.array(reply, np.float64) if isinstance(reply, list) else reply
    result = from_bytes(to_bytes(values))
    if isinstance(reply, list):
        assert isinstance(result, np.ndarray)
        assert result.tobytes() == values.tobytes()
    else:
        assert result == reply
        assert list(result) == list(reply)  # in the same order


@pytest.mark.parametrize("content", [b"", b"?", b"n[]", b"n{", b"s1", b"t\xff", b'n{"a": "b"}'])
def test_damaged_answers_are_told(content: bytes) -> None:
    with pytest.raises(PixpromptError, match="an answer in the ledger"):
        from_bytes(content)


def test_a_reply_is_kept_as_it_came_and_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with ReplyLedger(path) as ledger:
        ledger.endpoint = "e"
        request = sent(ledger, KEYS[:3], 0, [b"1", b"2", b"3"])
        assert ledger.find_replies(KEYS[:2]) == [None, None]
        ledger.store(request, [{"cat": 0.5}, None, "dog"], [None, "too dark", None], CAME, 99)
        assert ledger.find_replies(KEYS[:3]) == [{"cat": 0.5}, None, "dog"]
        again = sent(ledger, KEYS[1:2], 0, [b"2"], retry_of=request)
        ledger.fail(again, "busy", kind="busy", billed=False, incoming=CAME, bytes_sent=9)
        with pytest.raises(PixpromptError, match="does not wait for 3"):
            ledger.store(request, ["a", "b", "c"], [None] * 3, CAME)
        with pytest.raises(PixpromptError, match="does not wait for 1"):
            ledger.store(again, ["a"], [None], CAME)
        assert ledger.totals() == Totals(3, 2, 1, 0, 0, 0, retried=1)
    summary = read_ledger(path, requests=True)
    assert (summary["bytes"], summary["not_billed"], summary["answers"]) == ({"sent": 108, "received": 36}, 1, 2)
    assert [line["outcome"] for line in summary["list"]] == ["answered", "busy"]
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT failure FROM queries ORDER BY request, position").fetchall()[1] == ("too dark",)
        assert file.execute("SELECT digests FROM requests").fetchall() == [(b"123",), (b"2",)]


def test_an_answer_that_comes_after_it_was_asked_again_breaks_nothing(tmp_path: Path) -> None:
    """A session that still waited while another one was told to ask again."""
    with ReplyLedger(tmp_path / "l") as first:
        late = sent(first, KEYS[:2], 0, [])
        with ReplyLedger(tmp_path / "l") as second:
            second.resolve("retry")
            second.store(sent(second, KEYS[:1], 0, []), ["soon"], [None], CAME)
        first.store(late, ["late", "late"], [None, None], CAME)
        assert first.find_replies(KEYS[:2]) == ["soon", "late"]
        with pytest.raises(PixpromptError, match="written to by another run"):
            sent(first, KEYS[2:3], 0, [])


def test_decisions_are_about_what_is_undecided(tmp_path: Path) -> None:
    with ReplyLedger(tmp_path / "l") as ledger:
        sent(ledger, KEYS[:2], 0, [])
        ledger.resolve("retry")
        ledger.store(sent(ledger, KEYS[:1], 0, []), ["a"], [None], CAME)
        sent(ledger, [KEYS[1], KEYS[2]], 0, [])
        assert [doubt.resolved for doubt in ledger.in_doubt()] == ["retry", None]
        ledger.resolve("skip")
        assert ledger.unresolved() == []
        assert ledger.find_replies(KEYS[:3]) == ["a", SKIPPED, SKIPPED]
        assert (ledger.totals().in_doubt, ledger.totals().skipped) == (2, 2)


# Reading -------------------------------------------------------------------------------------------------------------


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with Ledger(path) as ledger:
        ledger.answer(ledger.intend(KEYS[:2]), np.float32([[1, 2], [3, 4]]))
        ledger.fail(ledger.intend(KEYS[2:3]), "ValueError: no")
        ledger.intend(KEYS[2:3])
        ledger.count_hits(4)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE requests SET asked = 1000 + id, answered = answered + 1001.5 - answered")
        file.commit()
    content = path.read_bytes()
    summary = read_ledger(path, price_per_1000=1000)
    assert path.read_bytes() == content
    assert [item.name for item in tmp_path.iterdir()] == ["l"]
    assert (summary["queries"], summary["requests"], summary["answered"], summary["failed"]) == (4, 3, 1, 1)
    assert (summary["cached"], summary["cost"], summary["answers"]) == (4, 4.0, 2)
    named = [{"request": 3, "images": 1, "asked": "1970-01-01T00:16:43.000Z", "decided": None}]
    assert summary["in_doubt"] == {"requests": 1, "images": 1, "named": named}
    assert summary["time"]["median"] == 0.5
    assert summary["by_status"] == [
        {"outcome": "answered", "status": None, "requests": 1, "images": 2},
        {"outcome": "failed", "status": None, "requests": 1, "images": 1},
        {"outcome": "in doubt", "status": None, "requests": 1, "images": 1},
    ]
    (hour,) = summary["by_hour"]
    assert hour == {"hour": "1970-01-01T00:00Z", "requests": 3, "queries": 4, "failed": 1, "in_doubt": 1}


def test_reading_while_a_run_writes(tmp_path: Path) -> None:
    with ReplyLedger(tmp_path / "l") as ledger:
        ledger.store(sent(ledger, KEYS[:1], 0, []), ["a"], [None], CAME)
        request = sent(ledger, KEYS[1:3], 0, [])
        summary = read_ledger(tmp_path / "l")
        assert (summary["answers"], summary["in_doubt"]["images"]) == (1, 2)
        ledger.store(request, ["b", "c"], [None, None], CAME)
        assert read_ledger(tmp_path / "l")["answers"] == 3


def test_what_is_no_ledger_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(PixpromptError, match="there is no ledger"):
        read_ledger(tmp_path / "l")
    (tmp_path / "l").write_text("no database at all " * 100)
    with pytest.raises(PixpromptError, match="is no ledger"):
        read_ledger(tmp_path / "l")


@pytest.mark.parametrize(("column", "value"), [("asked", "'yesterday'"), ("asked", "1e300"), ("answered", "X'00'")])
def test_what_is_no_date_is_a_damaged_ledger(tmp_path: Path, column: str, value: str) -> None:
    path = tmp_path / "l"
    with ReplyLedger(path) as ledger:
        sent(ledger, KEYS[:1], 0, [])
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"UPDATE requests SET {column} = {value}")
        file.commit()
    with pytest.raises(PixpromptError, match="is damaged"):
        read_ledger(path, requests=True)
    if column == "asked":
        with ReplyLedger(path) as ledger, pytest.raises(PixpromptError, match="is damaged"):
            ledger.in_doubt()
