"""As a program, `kill_runs.py FOLDER ROUNDS`: runs a command in forked processes and kills them with SIGKILL.

FOLDER/plan.json says which: the arguments of a run that nobody kills, "whole"; those of the one that is killed,
"begin", and "again" once there is a file "begun"; its "ledger"; and which file "grows" while it works, in steps of so
many bytes, "step", of which at most "at_most" are waited for.

One process imports everything and forks one child per round, so that a round costs no start. The child is a real run:
the command line, the ledger, the sockets. Writes FOLDER/rounds.json, with what the ledger held after each kill.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first step of an optimizer would import it in every child

from pixprompt.cli import main

_NAMES = ("cli.learning.train", "cli.prompts.predict", "engine.run", "engine.saved.deploy", "engine.saved.predict")
for _name in (*_NAMES, "remote.connection", "models.python_callable.as_model", "engine.learners.by_gradients"):
    importlib.import_module(f"pixprompt.{_name}")  # before the fork: every child would import it again


def fork(arguments: list[str], log: Path) -> int:
    """Starts a command in a child; everything that it says goes to a file."""
    child = os.fork()
    if not child:
        code = 99
        try:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            code = main(arguments)
        finally:
            os._exit(code)
    return child


def saved(ledger: Path) -> tuple[dict[str, str], list[str], int]:
    """The answers of a ledger by key and replicate, the digests of the images in doubt, and the requests in doubt."""
    if not ledger.exists():
        return {}, [], 0
    with closing(sqlite3.connect(ledger, timeout=10)) as file:
        if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone():
            return {}, [], 0
        answers = "SELECT hex(key) || replicate, hex(outputs) FROM queries WHERE outputs IS NOT NULL"
        doubtful = "SELECT id FROM requests WHERE answered IS NULL AND failure IS NULL"
        digest = "lower(hex(substr(digests, 32 * position + 1, 32)))"
        digests = f"SELECT {digest} FROM queries JOIN requests ON id = request WHERE id IN ({doubtful})"
        return (
            dict(file.execute(answers).fetchall()),
            [row[0] for row in file.execute(digests)],
            len(file.execute(doubtful).fetchall()),
        )


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def wait_for_growth(path: Path, num_bytes: int, child: int, seconds: float = 600.0) -> None:
    """Waits until a file has grown, as it does with every image sold, or the child has ended."""
    size_before, end = size(path), time.monotonic() + seconds
    while size(path) < size_before + num_bytes and time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.0005)


def set_limit(folder: Path, count: int) -> None:
    """Lets the seller sell so many images more; a kill that comes late would else come after the end."""
    new = folder / "limit.new"
    new.write_text(str(size(folder / "sold") + 65 * count))
    new.rename(folder / "limit")


def play(folder: Path, rounds: int, plan: dict[str, Any]) -> dict[str, Any]:
    draw, grows, ledger = random.Random(0), folder / plan["grows"], folder / plan["ledger"]
    lines: list[dict[str, Any]] = []
    answers: dict[str, str] = {}
    while True:
        arguments = plan["again"] if (folder / plan["begun"]).exists() else plan["begin"]
        count = draw.randint(1, plan["at_most"])
        set_limit(folder, count + 8 if len(lines) < rounds else 10**6)
        child = fork(arguments, folder / "log.txt")
        if len(lines) < rounds:
            if len(lines) % 8 == 7:
                time.sleep(draw.uniform(0, 0.6))  # anywhere: while it starts, or replays
            else:
                wait_for_growth(grows, plan["step"] * count, child)
                time.sleep(draw.uniform(0, 0.006))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        result, doubtful, requests = saved(ledger)
        lost = sum(result.get(key) != value for key, value in answers.items())
        answers = result
        lines.append({"answers": len(result), "doubtful": requests, "lost": lost, "killed": os.WIFSIGNALED(status)})
        if not os.WIFSIGNALED(status):
            return {"rounds": lines, "code": os.WEXITSTATUS(status), "digests": doubtful}


if __name__ == "__main__":
    place, number = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    os.chdir(place)
    payload = json.loads((place / "plan.json").read_text())
    whole = os.waitpid(fork(payload["whole"], place / "whole.txt"), 0)[1]
    done = play(place, number, payload)
    (place / "rounds.json").write_text(json.dumps({**done, "whole": os.waitstatus_to_exitcode(whole)}))
