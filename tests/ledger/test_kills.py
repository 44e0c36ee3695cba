"""Killing a journaled run: no acknowledged answer is lost, what was in flight is counted, replaying asks nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch

import pixprompt
from pixprompt.core import Access, BudgetError, ModelSpec
from pixprompt.ledger import LocalJournal
from pixprompt.ledger.budget import Budget
from pixprompt.ledger.ledger import Ledger, Totals

TOTAL = 100_000
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from pixprompt.core import Access, ModelSpec
from pixprompt.ledger.budget import Budget
from pixprompt.ledger import LocalJournal
from pixprompt.ledger.ledger import Ledger

folder, rounds, lazy, total = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def image(number):
    return torch.tensor([number // 65536, number // 256 % 256, number % 256]).view(1, 3, 1, 1).float() / 255

class Paid:
    spec, access = ModelSpec("paid", (1, 1), 3), Access.SCORES
    log = os.open(folder / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    def __call__(self, images):
        os.write(self.log, b"." * len(images))
        return images[:, :, 0, 0] * 3

class Lazy(Ledger):
    waiting = []
    def answer(self, *given, **meta):
        self.waiting.append((given, meta))
        if len(self.waiting) == 8:
            for given, meta in self.waiting:
                super().answer(*given, **meta)
            self.waiting.clear()

def work(number):
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    random.seed(number)
    journaled = LocalJournal(Paid(), (Lazy if lazy else Ledger)(folder / "ledger"), Budget(total))
    while True:
        numbers = [random.randrange(1 << 24) for _ in range(random.randint(1, 3))]
        outputs = journaled(torch.cat([image(n) for n in numbers]))
        os.write(acks, b"".join(b"%d\\n" % n for n in numbers))

random.seed(0)
seen = folder / "acks"
seen.touch()
for number in range(rounds):
    before = seen.stat().st_size
    child = os.fork()
    if not child:
        try:
            work(number)
        finally:
            os._exit(1)
    while seen.stat().st_size < before + 100 and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        sys.exit("the child ended by itself")
"""


class Never:
    """A model that may not be asked."""

    access = Access.SCORES
    spec = ModelSpec("paid", (1, 1), 3)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        raise ConnectionRefusedError(f"asked about {len(images)} images")


def killed(folder: Path, rounds: int, *, lazy: bool = False) -> list[int]:
    """Kills `rounds` processes at random moments; returns the images whose answers were acknowledged."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(rounds), str(int(lazy)), str(TOTAL)],
        check=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(Path(pixprompt.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
    )
    return [int(line) for line in (folder / "acks").read_text().splitlines()]


def replayed(folder: Path, numbers: list[int]) -> torch.Tensor:
    """Asks for acknowledged answers again, of a model that must not be asked."""
    places = torch.tensor(numbers)
    pixels = torch.stack([places // 65536, places // 256 % 256, places % 256], 1)
    images = pixels.float()[:, :, None, None] / 255
    with Ledger(folder / "ledger") as ledger:
        outputs = LocalJournal(Never(), ledger, Budget(None))(images)
    assert torch.equal(outputs, images[:, :, 0, 0] * 3)
    return outputs


def check(folder: Path, rounds: int) -> Totals:
    numbers = killed(folder, rounds)
    assert len(numbers) > 5 * rounds
    with Ledger(folder / "ledger") as ledger:
        totals, budget = ledger.totals(), Budget(TOTAL)
        LocalJournal(Never(), ledger, budget)
    with closing(sqlite3.connect(folder / "ledger")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = file.execute("SELECT count(outputs) FROM queries").fetchone()
    calls = (folder / "calls").stat().st_size
    assert totals.in_doubt <= rounds  # at most the one in flight
    assert count + totals.images_in_doubt == totals.images == budget.spent
    assert count <= calls <= totals.images  # every call was written down before, none twice but those in doubt
    assert len(set(numbers)) <= count
    replayed(folder, numbers)
    return totals


def test_a_killed_run_loses_no_acknowledged_answer(tmp_path: Path) -> None:
    check(tmp_path / "run", rounds=5)


@pytest.mark.slow
def test_many_killed_runs_lose_no_acknowledged_answer(tmp_path: Path) -> None:
    totals = check(tmp_path / "run", rounds=60)
    assert totals.in_doubt > 0  # some kills came between a question and its answer


@pytest.mark.slow
def test_a_ledger_that_writes_answers_later_is_caught(tmp_path: Path) -> None:
    numbers = killed(tmp_path / "run", 3, lazy=True)
    with pytest.raises(ConnectionRefusedError):
        replayed(tmp_path / "run", numbers)


def test_a_budget_holds_over_kills(tmp_path: Path) -> None:
    """The intents of a dead process are spent, although nothing was answered."""
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.intend([b"1", b"2", b"3"])
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(BudgetError, match=r"2 more .* but 1 of 4"):
        LocalJournal(Never(), ledger, Budget(4))(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
