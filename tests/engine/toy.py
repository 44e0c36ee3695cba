"""Reading what a run left, without its clocks."""

import json
from pathlib import Path

from pixprompt.engine import Result


def numbers(result: Result) -> dict:
    """The result without its clocks."""
    values = result.to_json()
    return {key: values[key] for key in values if key not in ("seconds", "train_images_per_second", "peak_memory_mb")}


def history(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
