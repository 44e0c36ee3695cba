"""One run of a benchmark or a study: what it does, in whichever process, and what it gives back."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import AccessError, ConfigError, DataError, Model
from ..data import Data
from ..engine.progress import Reporter
from ..files import read_json
from ..version import __version__

__all__ = ["FINAL", "Outcome", "Run", "attempt", "failure", "machine", "perform"]

FINAL = (AccessError, ConfigError, DataError)
"""Errors that a second attempt would meet again."""


@dataclass(frozen=True)
class Run:
    """One call of `train`, `segment` or `diagnose`; plain values only, so that it can be sent to another process.

    Attributes:
        task: "train", "segment" or "diagnose".
        settings: What the results say of them: without places of this machine.
        identity: What makes it this run and no other, in JSON.
        slug: Begins the name of its folder; its name by default.
    """

    name: str
    task: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    identity: Any = field(repr=False)
    slug: str = ""

    @property
    def key(self) -> str:
        """Returns the name of its folder; the same settings are the same run, whichever benchmark asks for it."""
        digest = hashlib.sha256(json.dumps([self.task, self.identity]).encode()).hexdigest()[:10]
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.slug or self.name).strip("-")[:40] or "run"
        return f"{name}-{digest}"


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run has ended.

    Attributes:
        line: What is added to the results, or to the failures.
        final: Whether a second attempt would fail as well.
    """

    run: str
    line: Mapping[str, Any]
    failed: bool = False
    final: bool = False


def perform(
    run: Run,
    folder: str | Path,
    *,
    reporter: Reporter | None = None,
    model: Model | None = None,
    data: Data | None = None,
) -> dict[str, Any]:
    """Performs a run in its folder, or continues what an earlier session has begun there.

    Returns:
        The line of the results.
    """
    began, path = time.perf_counter(), Path(folder)
    begun = (path / "config.json").exists()
    right = None
    if run.task == "segment":
        from ..segmentation import SegmentConfig
        from ..segmentation.run import train as segment

        result = segment(
            SegmentConfig.from_json(dict(run.options), source=run.name), out=path, resume=begun, reporter=reporter
        )
    elif run.task == "diagnose":
        from ..diagnose.run import diagnose

        finished = path / "result.json"
        result = read_json(finished) if finished.exists() else diagnose(**run.options, out=finished, reporter=reporter)
    else:
        from ..engine.config.train_config import TrainConfig
        from ..engine.run import train

        config = TrainConfig(**run.options)
        result = train(config, out=path, resume=begun, reporter=reporter, model=model, data=data).to_json()
        right = read_json(path / "test.json") if (path / "test.json").exists() else None
    return {
        "name": run.name,
        "settings": dict(run.settings),
        "run": run.key,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "session_seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
        "versions": _versions(),
        "result": result,
        "test": right,
    }


def attempt(run: Run, folder: str | Path, number: int = 1, **more: Any) -> Outcome:
    """Performs a run; an error becomes an outcome, an interruption does not."""
    try:
        return Outcome(run.key, perform(run, folder, **more))
    except Exception as error:
        return failure(run, number, f"{type(error).__name__}: {error}", final=isinstance(error, FINAL))


def failure(run: Run, number: int, reason: str, *, final: bool = False) -> Outcome:
    """Returns the outcome of an attempt that failed."""
    line = {"name": run.name, "settings": dict(run.settings), "run": run.key, "attempt": number, "error": reason}
    where = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "versions": _versions()}
    return Outcome(run.key, {**line, **where}, failed=True, final=final)


def machine() -> str:
    """Names the machine well enough to compare figures of one file."""
    import torch

    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads{device}"


def _versions() -> dict[str, str]:
    import torch

    return {"pixprompt": __version__, "python": platform.python_version(), "torch": torch.__version__}
