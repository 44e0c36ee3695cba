"""The ledger file: what it keeps, what it refuses, who may write to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pixprompt.core import PixpromptError
from pixprompt.ledger.ledger import Ledger, Totals
from pixprompt.ledger.sqlite_file import LedgerFile

KEYS = [bytes([i]) * 32 for i in range(6)]


def rows(*values: float) -> np.ndarray:
    return np.array([[value, -0.0, 1 / 3] for value in values], dtype=np.float32)


def query(path: Path, text: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(text).fetchall()


@pytest.mark.parametrize("in_memory", [False, True])
def test_answers_come_back_bit_by_bit(tmp_path: Path, in_memory: bool) -> None:
    with Ledger(None if in_memory else tmp_path / "ledger.sqlite") as ledger:
        outputs = rows(1.5, np.float32(np.pi))
        assert ledger.find(KEYS[:2]) == [None, None]
        request = ledger.intend(KEYS[:2])
        assert ledger.find(KEYS[:2]) == [None, None]
        ledger.answer(request, outputs)
        result = ledger.find([KEYS[1], KEYS[2], KEYS[0]])
        assert result[1] is None
        assert result[0].tobytes() == outputs[1].tobytes()
        assert result[2].tobytes() == outputs[0].tobytes()
        result[0][0] = 7  # the caller's own
        assert ledger.find([KEYS[1]])[0].tobytes() == outputs[1].tobytes()


def test_the_file_holds_little_endian_float32_and_the_promised_settings(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.answer(ledger.intend(KEYS[:1]), np.array([[1.0, -2.0]], dtype=np.float32))
    with closing(LedgerFile(path)) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA synchronous").fetchone() == (1,)  # NORMAL, and a flush of its own
        assert file.execute("PRAGMA busy_timeout").fetchone()[0] >= 5000
    assert query(path, "SELECT outputs FROM queries") == [(b"\x00\x00\x80\x3f\x00\x00\x00\xc0",)]


def test_replicates_are_answers_of_their_own() -> None:
    with Ledger(None) as ledger:
        for replicate, value in ((0, 1.0), (2, 2.0)):
            ledger.answer(ledger.intend(KEYS[:1], replicate), rows(value))
        results = [ledger.find(KEYS[:1], replicate)[0] for replicate in range(3)]
        assert [None if row is None else float(row[0]) for row in results] == [1.0, None, 2.0]


def test_totals_over_sessions(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        assert ledger.totals() == Totals(0, 0, 0, 0, 0, 0)
        ledger.charge(2)
        ledger.answer(ledger.intend(KEYS[:3]), rows(1, 2, 3))
        ledger.fail(ledger.intend(KEYS[3:4]), "ValueError: no")
        ledger.intend(KEYS[3:5])
        ledger.count_hits(4)
        assert ledger.totals() == Totals(8, 5, 1, 1, 2, 4)
    with Ledger(path) as ledger:
        assert ledger.totals() == Totals(8, 5, 1, 1, 2, 4)
        ledger.count_hits(1)
        ledger.answer(ledger.intend(KEYS[3:5]), rows(4, 5))
        assert ledger.totals() == Totals(10, 6, 1, 1, 2, 5)
    assert query(path, "SELECT failure FROM requests WHERE failure IS NOT NULL") == [("ValueError: no",)]


def test_texts(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.read_meta("labels") is None
        ledger.write_meta(labels="[]", other="é")
        ledger.answer(ledger.intend(KEYS[:1]), rows(1), labels='["a"]')
    with Ledger(tmp_path / "l") as ledger:
        assert (ledger.read_meta("labels"), ledger.read_meta("other")) == ('["a"]', "é")


def test_answers_and_their_texts_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.write_meta(labels="old")
        request = ledger.intend(KEYS[:2])
        query(path, "CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        with pytest.raises(PixpromptError, match="disk full"):
            ledger.answer(request, rows(1, 2), labels="new")
        assert ledger.read_meta("labels") == "old"
        assert ledger.find(KEYS[:2]) == [None, None]
        assert ledger.totals().in_doubt == 1
        query(path, "DROP TRIGGER full")
        ledger.answer(request, rows(1, 2), labels="new")
        assert ledger.totals().in_doubt == 0


def test_nothing_is_answered_or_asked_twice() -> None:
    with Ledger(None) as ledger:
        request = ledger.intend(KEYS[:2])
        for wrong in (rows(1), rows(1, 2, 3)):
            with pytest.raises(PixpromptError, match=f"does not wait for {len(wrong)} answers"):
                ledger.answer(request, wrong)
        ledger.answer(request, rows(1, 2))
        with pytest.raises(PixpromptError, match="does not wait"):
            ledger.answer(request, rows(3, 4))
        for keys in ([KEYS[3], KEYS[3]], [KEYS[3], KEYS[0]]):
            with pytest.raises(PixpromptError, match="asked once per replicate"):
                ledger.intend(keys)
        assert (ledger.totals().images, float(ledger.find(KEYS[:1])[0][0])) == (2, 1.0)


def test_the_file_itself_refuses_a_second_answer(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with Ledger(path) as ledger:
        ledger.answer(ledger.intend(KEYS[:1]), rows(1))
    with closing(sqlite3.connect(path)) as file, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        file.execute("INSERT INTO queries SELECT 9, 0, key, replicate, outputs, failure FROM queries")


def test_a_second_writer_is_noticed_before_it_asks(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as first, Ledger(tmp_path / "l") as second:
        request = first.intend(KEYS[:1])
        with pytest.raises(PixpromptError, match="written to by another run"):
            second.intend(KEYS[1:2])
        first.answer(request, rows(1))
        first.answer(first.intend(KEYS[2:3]), rows(3))
        assert second.totals().images == 2  # reading is fine


def test_a_locked_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixprompt.ledger.sqlite_file._BUSY_SECONDS", 0.05)
    with Ledger(tmp_path / "l") as ledger, closing(sqlite3.connect(tmp_path / "l", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PixpromptError, match="in use by another process"):
            ledger.intend(KEYS[:1])
        other.execute("COMMIT")
        ledger.intend(KEYS[:1])


def as_text(path: Path) -> None:
    path.write_text("not a database at all" * 100)


def as_other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE requests (id INTEGER)")


def as_other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA application_id = 17")


def as_newer_schema(path: Path) -> None:
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")


def as_damaged(path: Path) -> None:
    Ledger(path).close()
    content = bytearray(path.read_bytes())
    content[100:2000] = b"\xff" * 1900
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (as_text, "is no ledger, or a damaged one"),
        (as_other_database, "is an SQLite file, but no ledger of pixprompt"),
        (as_other_application, "is an SQLite file, but no ledger of pixprompt"),
        (as_newer_schema, r"schema 99; this version of pixprompt reads schema 3"),
        (as_damaged, "is no ledger, or a damaged one"),
        (Path.mkdir, "cannot open .*Is it a file"),
    ],
)
def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, make, reason: str) -> None:
    path = tmp_path / "thing"
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(PixpromptError, match=reason):
        Ledger(path)
    assert (None if path.is_dir() else path.read_bytes()) == before


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PixpromptError, match="cannot open"):
        Ledger(tmp_path / "no" / "l")


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    """What a process leaves that is killed while it makes the file."""
    (tmp_path / "l").touch()
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals().images == 0


def test_closing_twice_is_fine_and_a_closed_ledger_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.close()
    ledger.close()
    with pytest.raises(PixpromptError, match="closed"):
        ledger.intend(KEYS[:1])
