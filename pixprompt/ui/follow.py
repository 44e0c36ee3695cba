"""Following a run as it learns: its history, line by line, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import PixpromptError
from ..report.page.environment import count, duration
from ..report.run_files import RunFiles, read_runs
from .runs import signature, state_of

__all__ = ["MAX_LINES", "events", "progress"]

MAX_LINES = 5000
"""Of a history that are sent; a longer one is sent from its end."""


async def events(folder: Path, start: int, wait: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
    """Yields an event with the history so far, and one whenever files of the run have changed, until it is finished.

    Args:
        start: Lines that the reader has already.
        wait: Returns when it may be worth another look; False where nobody looks any more.
    """
    last: object = None
    while True:
        current = signature(folder)
        if current != last:
            last = current
            text, start, finished = await asyncio.to_thread(_event, folder, start)
            yield text
            if finished:
                return
        if not await wait():
            return


def _event(folder: Path, start: int) -> tuple[str, int, bool]:
    """Returns an event, the number of lines that the reader has then, and whether the run is finished."""
    state = state_of(folder)
    try:
        (run,) = read_runs([folder])
        lines, facts = run.history, progress(run, state)
    except PixpromptError as error:
        lines, facts = [], {"text": str(error), "done": None, "share": None}
    restarted = len(lines) < start  # the history of another run, or of one that went on from a checkpoint
    start = 0 if restarted else start
    start = max(start, len(lines) - MAX_LINES)
    values = {"restarted": restarted, "lines": lines[start:], "state": state, "time": time.strftime("%H:%M:%S")}
    data = json.dumps({**values, **facts})
    return f"id: {len(lines)}\ndata: {data}\n\n", len(lines), state == "finished"


def progress(run: RunFiles, state: str) -> dict[str, Any]:
    """Says in words how far a run is, and as a share in [0, 1] where its settings say how far it goes."""
    text, share, seconds = _steps(run.history, run.settings)
    if seconds is not None:
        text += f"; {duration(seconds)} so far"
        if share and state == "learning":
            text += f", {duration(seconds * (1 - share) / share)} more at most"
    return {"text": text, "share": share}


def _steps(
    history: Sequence[Mapping[str, float]], settings: Mapping[str, Any]
) -> tuple[str, float | None, float | None]:
    if not history:
        return "no line of history yet", None, None
    for name, setting, word in (("epoch", "epochs", "epoch"), ("queries", "budget", "queries:")):
        if name in history[-1]:
            epochs, total = history[-1][name], settings.get(setting)
            if isinstance(total, int) and total > 0:
                return f"{word} {count(epochs)} of {count(total)}", min(1.0, epochs / total), history[-1].get("seconds")
            return f"{word} {count(epochs)}", None, history[-1].get("seconds")
    return f"{len(history)} lines of history", None, None
