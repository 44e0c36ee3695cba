"""A model that gives answers only, and reading what a run left, without its clocks."""

import json
from pathlib import Path

import torch

from pixprompt.core import Access
from pixprompt.engine import Result


class Closed:
    """A net that gives its answers and nothing else; it counts the images, and can fail at a chosen call."""

    access = Access.SCORES

    def __init__(self, model, fails_at=None) -> None:
        self.model, self.spec, self.images, self.calls, self.fails_at = model, model.spec, 0, 0, fails_at

    @torch.no_grad()
    def __call__(self, images):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        self.images += len(images)
        return self.model(images)


def numbers(result: Result) -> dict:
    """The result without its clocks."""
    values = result.to_json()
    return {key: values[key] for key in values if key not in ("seconds", "train_images_per_second", "peak_memory_mb")}


def history(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
