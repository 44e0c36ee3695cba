"""The process of one run: an order comes in on stdin as JSON, the outcome goes out on stdout.

It ends when the process that gave the order does: stdin is closed then.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict

from .runs import Run, attempt

__all__ = ["main"]


def main() -> None:
    """Performs the run of the order."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    out, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no part of the answer
    outcome = attempt(Run(**order["run"]), order["folder"], order["number"])
    out.write(json.dumps(asdict(outcome)))
    out.flush()


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # `sys.stdin.read` would keep Python from closing it at the end
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
