"""A model that gives answers only, a kill at a chosen moment, and reading what a run left, without its clocks."""

import json
from pathlib import Path

import torch

from pixprompt.core import Access
from pixprompt.engine import Result, TrainConfig, train
from pixprompt.engine.progress import Silent


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


class Killed(BaseException):
    pass


class KillAfter(Silent):
    """Kills a run in a stage, after so many images of it."""

    def __init__(self, images: int, stage: str) -> None:
        self.left, self.wanted, self.current = images, stage, ""

    def stage(self, name: str, total: int) -> None:
        self.current = name

    def advance(self, steps: int = 1) -> None:
        self.left -= steps * (self.current == self.wanted)
        if self.left < 0:
            raise Killed


class Wholes:
    """Runs that nothing stopped, each made once for all tests; their folders are for reading only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: dict[str, tuple[Path, Result]] = {}

    def __call__(self, config: TrainConfig, *, model, data) -> tuple[Path, Result]:
        """The folder and the result of the run."""
        key = json.dumps([config.to_json(), type(model).__name__])
        if key not in self.runs:
            out = self.folder / str(len(self.runs))
            self.runs[key] = out, train(config, out=out, model=model, data=data)
        return self.runs[key]


def numbers(result: Result) -> dict:
    """The result without its clocks."""
    values = result.to_json()
    return {key: values[key] for key in values if key not in ("seconds", "train_images_per_second", "peak_memory_mb")}


def history(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
