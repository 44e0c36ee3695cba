"""What each process of `test_several_processes` does."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import pytest

from pixprompt import cli
from pixprompt.core import ConfigError
from pixprompt.data import Data
from pixprompt.data.image_set import from_arrays
from pixprompt.engine import TrainConfig, train
from pixprompt.engine.progress import Silent
from pixprompt.engine.ranks import join_processes
from pixprompt.models import TorchModel, as_model

from ..plots.blank import blank_pictures
from .conftest import CLASSES, SIZE, make_net, pictures
from .test_inside import tiny
from .toy import Closed

FIT = {"epochs": 2, "batch_size": 7, "precision": "fp32", "optimizer": "sgd", "device": "cpu"}
"""60 images in batches of 7: shares of 4 and 3, and a last batch of 4."""
RUNS = {
    "pixel": {"size": 4, "lr": 2.0, "output": "iterative"},
    "random-patch": {"template": "random-patch", "size": 6, "start": "normal", "lr": 2.0},
    "beside a head": {"template": "full", "lr": 0.02, "output": "ridge", "epochs": 2},
    "one at a time": {"size": 4, "lr": 0.2, "batch_size": 1, "epochs": 1},
    "vpt-deep": {"tokens": 3, "lr": 0.1, "dropout": 0.0},
    "sa2vp-deep": {"lr": 0.01, "dropout": 0.0},
    "mlp": {"lr": 0.01},
    "linear": {"search": True, "lr_grid": "0.1,1", "weight_decay_grid": "0", "seeds": 1},
}


class Stopped(Exception):
    """An end in the midst of a run."""


class StopAfterFirstEpoch(Silent):
    def epoch(self, line) -> None:
        raise Stopped


def data() -> Data:
    parts = {name: from_arrays(*pictures(n, seed), prefix=name)
             for name, n, seed in (("train", 60, 1), ("val", 41, 2), ("test", 75, 3))}  # fmt: skip
    return Data("toy", CLASSES, **parts)


def run(name: str, out: Path, **options) -> None:
    values = {**FIT, **RUNS[name]}
    white_box = "template" not in values and "size" not in values
    model: TorchModel = (
        tiny()
        if white_box
        else as_model(make_net(), image_size=(SIZE, SIZE), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), name="toy-net")
    )
    config = TrainConfig(model=model.spec.name, data="toy", method=name if white_box else "pixel", **values)
    train(config, out=out / name, model=model, data=data(), **options)


def main(folder: Path) -> None:
    blank_pictures(pytest.MonkeyPatch())
    with join_processes() as ranks:
        out = folder / ("runs" if ranks.rank == 0 else "of another process")
        for name in RUNS:
            run(name, out)
        try:
            run("pixel", out / "stopped", reporter=StopAfterFirstEpoch())
        except Stopped:
            run("pixel", out / "stopped", resume=True)
        answers = TrainConfig(model="toy-net", data="toy", budget=100)
        model = Closed(as_model(make_net(), image_size=(SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3, name="toy-net"))
        try:
            train(answers, out=out / "answers", model=model, data=data())
        except ConfigError as error:
            (folder / f"refused-{ranks.rank}").write_text(str(error))
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert cli.main([*json.loads((folder / "command").read_text()), "--json"]) == 0
        (folder / f"printed-{ranks.rank}").write_text(printed.getvalue())
