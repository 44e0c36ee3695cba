"""The results of a benchmark or a study: files to which lines are only ever added."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine.progress import Reporter
from ..files import make_folder
from .pools import Pool
from .runs import Outcome, Run

__all__ = ["ResultStore", "run_all"]

Line = Mapping[str, Any]
ATTEMPTS = 2


class ResultStore:
    """`results.jsonl` and `failures.jsonl` of a folder.

    Args:
        hidden: Places of this machine -> what the results say instead.
    """

    def __init__(self, folder: Path, hidden: Mapping[str, str] | None = None) -> None:
        self.folder, self._hidden = make_folder(folder), dict(hidden or {})

    @property
    def results(self) -> dict[str, Line]:
        """Returns run -> its line; of several the last one."""
        return {line["run"]: line for line in _read(self.folder / "results.jsonl")}

    @property
    def failures(self) -> dict[str, Line]:
        """Returns run -> its last failure, of runs that have no result."""
        finished = self.results
        lines = _read(self.folder / "failures.jsonl")
        return {line["run"]: line for line in lines if line["run"] not in finished}

    def add(self, outcome: Outcome) -> None:
        """Adds the line of an outcome, whole or not at all."""
        text = json.dumps(outcome.line, ensure_ascii=False)
        for place, name in self._hidden.items():
            text = text.replace(json.dumps(place, ensure_ascii=False)[1:-1], name)
        path = self.folder / ("failures.jsonl" if outcome.failed else "results.jsonl")
        whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")  # a kill may have cut the last line
        with path.open("ab") as file:
            file.write(("" if whole else "\n").encode() + f"{text}\n".encode())
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> Iterable[Line]:
    for text in path.read_text("utf-8").split("\n") if path.exists() else ():
        try:
            line = json.loads(text) if text else None
        except ValueError:  # cut by a kill; the run has its own result and adds its line again
            continue
        if isinstance(line, dict) and isinstance(line.get("run"), str):
            yield line


def run_all(
    runs: Sequence[Run],
    store: ResultStore,
    pool: Pool,
    folder: Path,
    *,
    reporter: Reporter,
    on_change: Any = lambda running: None,
) -> None:
    """Performs all runs that have no result yet, and each that failed once more at the end.

    Args:
        runs: What to perform; the same run counts once.
        folder: Holds the folders of all runs.
        on_change: Is called with the runs under way whenever one begins or ends.
    """
    finished, total = store.results, {run.key: run for run in runs}
    pending, running = {key: run for key, run in total.items() if key not in finished}, dict[str, Run]()

    def start(run: Run) -> None:
        running[run.key] = run
        reporter.note(f"run {list(total).index(run.key) + 1} of {len(total)}: {run.name}")
        on_change(list(running.values()))

    for number in range(1, ATTEMPTS + 1):
        again = {}
        for outcome in pool(list(pending.values()), folder, number, start):
            running.pop(outcome.run, None)
            store.add(outcome)
            if outcome.failed:
                reporter.note(f"{outcome.line['name']} failed: {outcome.line['error']}")
                if not outcome.final:
                    again[outcome.run] = pending[outcome.run]
            on_change(list(running.values()))
        pending = again
        if not pending:
            return
