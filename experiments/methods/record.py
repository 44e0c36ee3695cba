"""Rows of results in a file; what stands there is not run again."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from pixprompt import TrainConfig, train
from pixprompt.study import machine


def record(path: Path, head: dict, config: TrainConfig, parts: Callable[[], dict]) -> dict | None:
    """Trains what is not there yet, appends its line and returns it.

    Args:
        path: One JSON object per line.
        head: "method", "model", "data" and "settings": what tells a line from others.
        config: Of the run.
        parts: Makes what `train` takes besides, where it is needed.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if any(all(line[key] == value for key, value in head.items()) for line in lines):
        return None
    with tempfile.TemporaryDirectory() as out:
        result = train(config, out=out, **parts()).to_json()
    line = {**head, "machine": machine(), "result": {**result, "model": head["model"], "data": head["data"]}}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    return line
