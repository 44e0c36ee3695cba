"""A pixel prompt and a linear head that are learned together: what the head alone is, and what chance looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pixprompt.core import Model
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, plan, train
from pixprompt.engine.config.presets import resolve
from pixprompt.engine.fit.gradients.epochs import Validated, fit
from pixprompt.engine.parts import build
from pixprompt.engine.progress import Silent

from .toy import KillAfter, Killed, history, numbers


@pytest.fixture
def together(config: TrainConfig) -> TrainConfig:
    return config.with_values(output=None, lr=0.02)


def test_a_prompt_that_does_not_move_leaves_the_head_alone(together, model, data, tmp_path) -> None:
    config = together.with_values(output="ridge", lr=0.0, epochs=1)
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert result.best == "none"
    for split in ("val", "test"):
        alone, prompted = (getattr(result.accuracy[rung], split) for rung in ("prompt_png", "prompt_float"))
        assert alone == prompted
    assert [result.accuracy[rung].output for rung in ("no_prompt", "prompt_png")] == ["frequency", "ridge"]


def test_without_a_prompt_the_head_that_validates_best_is_saved(together, model, data, tmp_path) -> None:
    result = train(together.with_values(lr=0.0, epochs=1), out=tmp_path / "run", model=model, data=data)
    assert result.best == "none"
    assert result.accuracy["prompt_png"] == result.accuracy["output_only"] == result.accuracy["prompt_float"]
    assert {change.after for change in result.changes} == {"output_only"}


class Worsening:
    """A fit whose every epoch validates worse than the one before."""

    answers, num_images, reporter = None, 1, Silent()

    def __init__(self) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=1.0)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        nn.init.constant_(self.module.weight, epoch + 1.0)
        return {}

    def validate(self) -> Validated:
        return (-self.module.weight.item(),), {}


@pytest.mark.parametrize(("start", "epoch"), [(((0.0,), {}), 0), (((-1.5,), {}), 1), (None, 1)])
def test_the_start_is_an_epoch_to_choose_as_well(start: Validated | None, epoch: int) -> None:
    best = fit(Worsening(), epochs=2, start=start).best
    assert best is not None
    assert (best.epoch, best.state["weight"].item()) == (epoch, epoch)


def test_a_prompt_is_learned_beside_the_head(together, model, data, wholes) -> None:
    folder, result = wholes(together, model=model, data=data)
    lines = history(folder)
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    planned = plan(build(together, model=model, data=data))["queries"]
    assert planned["refits"] == together.fit.epochs * len(data.train)
    unsaved = len(data.test) * (result.best == "none")  # whose file answers no test image
    assert result.queries["images"] == planned["total"] - unsaved


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(together, model, data, wholes, tmp_path) -> None:
    folder, result = wholes(together, model=model, data=data)
    with pytest.raises(Killed):
        train(together, out=tmp_path / "run", model=model, data=data, reporter=KillAfter(200, "train"))
    resumed = train(together, out=tmp_path / "run", model=model, data=data, resume=True)
    assert numbers(resumed) == numbers(result)
    assert history(tmp_path / "run") == history(folder)


def test_heads_read_images_that_they_have_not_seen(together, model: Model, data: Data, tmp_path) -> None:
    """Of labels that say nothing a head with as many weights as images learns all by heart; none of it shows here."""
    labels = np.random.default_rng(0).permutation(data.train.labels)
    data = replace(data, train=replace(data.train, labels=labels))
    result = train(together.with_values(epochs=1), out=tmp_path / "run", model=model, data=data)
    assert history(tmp_path / "run")[0]["train_accuracy"] < 0.5
    assert result.best == "none"


def test_a_head_has_a_recipe_of_its_own(model: Model, data: Data) -> None:
    alone, beside = (resolve(TrainConfig(output=kind), model.spec) for kind in ("frequency", None))
    assert (beside.output.kind, beside.prompt.template, beside.fit.lr) == ("auto", "full", 0.01)
    assert (alone.prompt.template, alone.fit.lr) != ("full", 0.01)
    for frame in (TrainConfig(size=4, lr=0.03), TrainConfig(fit="shrink", lr=0.03)):
        config = resolve(frame, model.spec)
        assert (config.output.kind, config.prompt.template, config.fit.lr) == ("auto", "padding", 0.03)


def test_heads_follow_the_prompt_within_an_epoch(together, model: Model, data: Data, tmp_path) -> None:
    """Where the answers move far in one epoch, heads that stay behind read them worse than heads fitted again."""
    losses = []
    for refits in (1, 10):
        config = together.with_values(lr=0.1, epochs=1, batch_size=6, refits=refits)
        train(config, out=tmp_path / str(refits), model=model, data=data)
        losses.append(history(tmp_path / str(refits))[0]["train_loss"])
    assert losses[1] < losses[0]
