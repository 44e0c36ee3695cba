"""Killing commands again and again, in processes that `remote/kill_runs.py` forks, and where the counts are noted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pixprompt

_PROGRAM = Path(__file__).parent / "remote" / "kill_runs.py"


def environment(**more: str) -> dict[str, str]:
    """The environment of such a process."""
    return {**os.environ, "PYTHONPATH": str(Path(pixprompt.__file__).parents[1]), "OMP_NUM_THREADS": "1", **more}


def kill_often(folder: Path, plan: dict[str, Any], rounds: int, **more: str) -> None:
    """Runs a plan, with so many kills."""
    (folder / "plan.json").write_text(json.dumps(plan))
    program = [sys.executable, str(_PROGRAM), str(folder), str(rounds)]
    subprocess.run(program, check=True, timeout=1800, env=environment(**more))


def note_kills(what: str, counts: dict[str, int]) -> None:
    """Adds counts to the file $PIXPROMPT_KILLS, where one is named."""
    if "PIXPROMPT_KILLS" in os.environ:
        path = Path(os.environ["PIXPROMPT_KILLS"])
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, what: counts}, indent=2) + "\n")
