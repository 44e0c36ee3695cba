"""kill -9 in the midst of real runs against a model that keeps books: nothing lost, nothing bought twice unnamed.

With -s the table of kills is printed; PIXPROMPT_KILLS=FILE adds it there as JSON.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.ledger.summary import read_ledger
from pixprompt.outputs import make_output

from ..cli.toy import write_toy
from ..engine.toy import history
from ..images import make_prompt
from ..kills import environment, kill_often, note_kills
from .paid_server import KEY, NAMES, describe

HERE = Path(__file__).parent
ROUNDS = 110
SOLD = {"grows": "sold", "step": 65}
"""A line per image."""
DIGEST = "lower(hex(substr(digests, 32 * position + 1, 32)))"
"""Of the file of one image, in SQL."""


@dataclass(frozen=True)
class Books:
    """What the seller says and what the ledger says, compared.

    Attributes:
        rounds: Kills.
        doubtful: Requests in doubt after all of them.
        most_at_once: The most that a single kill left.
        images: Billed, as the seller counts.
        twice: Of these, such as were bought before.
        unnamed: Of those, such as the ledger does not name as in doubt.
        lost: Answers that a ledger held after a kill, and not later; or that were sold again although it held them.
    """

    rounds: int
    doubtful: int
    most_at_once: int
    images: int
    twice: int
    unnamed: int
    lost: int


def compared(folder: Path, sold: list[str], ledger: str = "run/ledger.sqlite") -> Books:
    """Compares the seller's list of images with the ledger and with what was seen after each kill."""
    lines = json.loads((folder / "rounds.json").read_text())["rounds"]
    kills = [line for line in lines if line["killed"]]
    doubtful = [line["doubtful"] for line in kills]
    answered = f"SELECT {DIGEST} FROM queries JOIN requests ON requests.id = request WHERE outputs NOT NULL"
    with closing(sqlite3.connect(folder / ledger)) as file:
        remaining = Counter(row[0] for row in file.execute(answered))
        named = Counter(
            row[0]
            for row in file.execute(
                f"SELECT {DIGEST} FROM queries JOIN requests ON requests.id = request"
                " WHERE answered IS NULL AND requests.failure IS NULL"
            )
        )
    bought = Counter(sold)
    beyond = bought - remaining
    return Books(
        rounds=len(kills),
        doubtful=max(doubtful, default=0),
        most_at_once=max((after - before for before, after in zip([0, *doubtful], doubtful, strict=False)), default=0),
        images=len(sold),
        twice=beyond.total(),
        unnamed=(beyond - named).total(),
        lost=sum(line["lost"] for line in lines) + (remaining - bought).total(),
    )


@pytest.fixture
def seller(tmp_path: Path) -> Any:
    """The paid model in a process of its own, which outlives the runs."""
    (tmp_path / "sold").touch()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "paid_server.py"), str(tmp_path)], env=environment(SHOP_KEY=KEY)
    )
    end = time.monotonic() + 300
    while not (tmp_path / "port").exists() and time.monotonic() < end:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/model"
    process.kill()
    process.wait()


@pytest.mark.slow
def test_killed_runs_lose_nothing_and_end_as_if_they_had_never_been_killed(tmp_path: Path, seller: str) -> None:
    toy, described = write_toy(tmp_path), describe(tmp_path, max_batch=2)
    options = ("--size", "4", "--basis", "blocks", "--basis-size", "4", "--output", "blm", "--json")
    arguments = ["train", "--model", seller, "--endpoint", str(described), "--data", toy.data, *options]
    arguments += ["--budget", "3800", "--concurrency", "2"]
    plan = {
        "whole": [*arguments, "--out", "whole"],
        "begin": [*arguments, "--out", "run"],
        "again": ["train", "--resume", "run", "--in-doubt", "retry"],
        "begun": "run/config.json",
        "ledger": "run/ledger.sqlite",
        "at_most": 40,
        **SOLD,
    }
    kill_often(tmp_path, plan, ROUNDS, SHOP_KEY=KEY)
    payload = json.loads((tmp_path / "rounds.json").read_text())
    assert (payload["whole"], payload["code"]) == (0, 0), (tmp_path / "log.txt").read_text()[-2000:]

    everything = (tmp_path / "sold").read_text().split()
    whole = read_ledger(tmp_path / "whole" / "ledger.sqlite")["answers"]
    sold = everything[whole:]  # the run that nobody killed came first, and bought each image once
    books = compared(tmp_path, sold)
    report("answers over HTTP", books)
    assert books.rounds >= 100
    assert books.doubtful > 0  # some kills came between a question and its answer
    assert books.most_at_once <= 2  # the concurrency
    assert (books.lost, books.unnamed) == (0, 0)
    assert books.twice <= read_ledger(tmp_path / "run" / "ledger.sqlite")["in_doubt"]["images"]

    assert (tmp_path / "run/prompt.png").read_bytes() == (tmp_path / "whole/prompt.png").read_bytes()
    assert json.loads((tmp_path / "run" / "result.json").read_text())["best"] == "prompt"
    assert history(tmp_path / "run") == history(tmp_path / "whole")
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert compared(tmp_path, [*sold, sold[-1]]).unnamed == 1  # negative controls: a sale too many,
    once = next(index for index, sale in enumerate(sold) if sold.count(sale) == 1)
    assert compared(tmp_path, [*sold[:once], *sold[once + 1 :]]).lost == 1  # and an answer that nobody sold


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_a_killed_predict_buys_nothing_twice_and_says_what_it_would_have_said(tmp_path: Path, seller: str) -> None:
    rounds = 100
    described, draw = describe(tmp_path, max_batch=1), np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(12 * rounds):
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "images" / f"{number:04}.png")
    spec = ModelSpec("paid", (16, 16), len(NAMES) + 1, AnswerKind.TOP_K, ("(other)", *NAMES))
    output = make_output("names", classes=NAMES, spec=spec, seed=0).to_json()
    replace(make_prompt((16, 16), padding=2), output=output).save(tmp_path / "prompt.png")
    arguments = [
        "predict",
        "prompt.png",
        "images",
        "--model",
        seller,
        "--endpoint",
        str(described),
        "--in-doubt",
        "retry",
    ]
    arguments += ["--budget", "100000", "--concurrency", "2", "--ledger"]
    plan = {
        "whole": [*arguments, "whole.sqlite"],
        "begin": [*arguments, "killed.sqlite"],
        "again": [*arguments, "killed.sqlite"],
        "begun": "killed.sqlite",
        "ledger": "killed.sqlite",
        "at_most": 8,
        **SOLD,
    }
    kill_often(tmp_path, plan, rounds, SHOP_KEY=KEY)
    payload = json.loads((tmp_path / "rounds.json").read_text())
    assert (payload["whole"], payload["code"]) == (0, 0), (tmp_path / "log.txt").read_text()[-2000:]
    sold = (tmp_path / "sold").read_text().split()
    books = compared(tmp_path, sold[12 * rounds :], "killed.sqlite")  # the run that nobody killed came first
    report("predict", books)
    assert books.rounds == rounds
    assert books.most_at_once <= 2
    assert (books.lost, books.unnamed) == (0, 0)
    assert books.twice <= read_ledger(tmp_path / "killed.sqlite")["in_doubt"]["images"]
    lines = [lines_of((tmp_path / name).read_text())[-12 * rounds :] for name in ("whole.txt", "log.txt")]
    assert lines[0] == lines[1]
    assert len({line["label"] for line in lines[0]}) > 1


def report(what: str, books: Books) -> None:
    rows = [f"{name:14}{value:>8}" for name, value in asdict(books).items()]
    sys.stdout.write("\n".join(["", what, *rows, ""]))
    note_kills(what, asdict(books))
