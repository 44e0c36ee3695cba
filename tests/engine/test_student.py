"""A local student of a paid model: what it learns from, what it reaches, and when it answers in its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import pixprompt
from pixprompt.cli.learning.train import format_ladder
from pixprompt.core import AccessError, ConfigError, PromptError
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, plan, train
from pixprompt.engine.inputs.trust import distrust, trust
from pixprompt.engine.parts import build
from pixprompt.models import as_model

from .conftest import pictures
from .test_views_run import through_a_white_frame
from .toy import Closed, KillAfter, Killed, numbers

STUDENT = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, images):
        stripes = (images[:, :, ::2] - images[:, :, 1::2]).abs().mean((2, 3))
        return torch.cat([images.mean((2, 3)), stripes], 1)

net = Net()

def function(image: "Image"):
    return [0.25, 0.75]
"""


@pytest.fixture
def paid() -> Closed:
    return Closed(as_model(through_a_white_frame, image_size=(16, 16), name="framed"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    (tmp_path / "own_student.py").write_text(STUDENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return TrainConfig(
        model="framed", data="toy", budget=300, views="auto", test_images=20, output="ridge",
        student="python:own_student:net@16",
    )  # fmt: skip


def test_a_student_costs_nothing_and_stands_in_the_result(config, paid, data, tmp_path, drawn) -> None:
    plain = train(config.with_values(student=None), out=tmp_path / "plain", model=paid, data=data)
    num_queries = paid.images
    result = train(config, out=tmp_path / "run", model=paid, data=data)
    assert paid.images == 2 * num_queries
    assert result.accuracy == plain.accuracy
    student = result.student
    assert student["labelled"] == len(data.train.labels)
    assert student["accuracy"]["test"] > result.accuracy["no_prompt"].test + 0.3
    prices = [line["per_prediction"] for line in student["curve"]]
    assert prices == sorted(prices)
    assert prices[0] == 0
    assert prices[-1] == pytest.approx(result.queries["per_prediction"])
    assert student["curve"][0]["test"] == student["accuracy"]["test"]
    assert student["curve"][-1]["test"] == pytest.approx(result.accuracy["prompt_png"].test)
    assert (tmp_path / "run/student.png").stat().st_size > 5000
    with safe_open(tmp_path / "run/student.safetensors", framework="np") as file:
        values = json.loads(file.metadata()["values"])
    assert values["model"] == "python:own_student:net@16"
    assert "student alone" in format_ladder(result)


def test_the_student_answers_first_and_the_model_where_it_is_unsure(config, paid, data, wholes, tmp_path) -> None:
    out, result = wholes(config.with_values(predictions=100_000), model=paid, data=data)
    assert result.student["first"]["threshold"] is not None
    images = []
    for index in range(len(data.test)):
        images.append(str(tmp_path / f"{index:02}.png"))
        data.test.open(index).save(images[-1])
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    before = paid.images
    with pixprompt.deploy(out, model=paid, student_first=True) as deployed:
        shares, in_doubt = deployed.student.answer(np.stack([deployed.student.canvas.make(data.test.open(0))] * 2))
        assert shares.shape == (2, 3)
        lines = list(pixprompt.predict(deployed, images, batch_size=7))
        num_queries = paid.images - before
        assert num_queries < len(images)
        assert deployed.model.queries == num_queries
        assert deployed(noise).label in data.classes
        assert [deployed(image).label for image in images[:5]] == [line["label"] for line in lines[:5]]
    hits = [line["label"] == data.classes[label] for line, label in zip(lines, data.test.labels, strict=True)]
    assert sum(hits[:20]) / 20 == pytest.approx(result.student["first"]["test"], abs=0.06)
    assert in_doubt.dtype == bool


@pytest.mark.slow
def test_unlabelled_images_are_asked_within_the_budget(config, paid, data, tmp_path) -> None:
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for index, pixels in enumerate(pictures(40, 9)[0]):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"")
    config = config.with_values(student_images=str(folder), budget=200, test_images=None)
    planned = plan(build(config, model=paid, data=data))
    assert planned["queries"]["student"] == 50
    assert "50 queries about unlabelled" in "".join(planned["outlook"])
    result = train(config, out=tmp_path / "run", model=paid, data=data)
    assert paid.images == result.queries["images"] <= 200
    assert 0 < result.student["asked"] <= 41


@pytest.mark.parametrize("budget", [0, 3])
def test_without_answers_there_is_a_student_and_nothing_to_compare_it_with(
    budget, config, paid, data, tmp_path
) -> None:
    result = train(config.with_values(budget=budget, test_images=0), out=tmp_path / "run", model=paid, data=data)
    assert paid.images == result.queries["images"] <= budget
    assert result.student["first"] is None
    assert result.student["curve"] == []
    assert "student alone" in format_ladder(result)
    with pytest.raises(ConfigError, match="never sure enough"):
        pixprompt.deploy(tmp_path / "run", model=paid, student_first=True)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_student(config, paid, data, wholes, tmp_path) -> None:
    _, whole = wholes(config, model=paid, data=data)
    with pytest.raises(Killed):
        train(config, out=tmp_path / "run", model=paid, data=data, reporter=KillAfter(5, "student, train"))
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, model=paid, data=data)
    assert numbers(result)["student"] == numbers(whole)["student"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"student": "python:own_student:function@16"}, "needs a local torch model"),
        ({"student": None, "student_images": "x"}, "--student-images goes with --student"),
        ({"student": None, "student_weights": "x"}, "--student-weights goes with --student"),
        ({"optimizer": "adam", "budget": None, "views": None}, "--student serves runs that learn from answers"),
    ],
)
def test_what_does_nothing_is_refused(options, words, config, paid, model, data: Data) -> None:
    chosen = model if "optimizer" in options else paid
    with pytest.raises((AccessError, ConfigError), match=words):
        plan(build(config.with_values(**{"test_images": None, **options}), model=chosen, data=data))
    assert paid.images == 0


def test_a_student_of_another_run_is_refused(config, paid, data, wholes, tmp_path) -> None:
    train(config.with_values(student=None, budget=20, test_images=0), out=tmp_path / "none", model=paid, data=data)
    with pytest.raises(ConfigError, match="has no student"):
        pixprompt.deploy(tmp_path / "none", model=paid, student_first=True)
    whole, _ = wholes(config.with_values(predictions=100_000), model=paid, data=data)
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    distrust("python:own_student:net@16")
    with pytest.raises(ConfigError, match="no file may decide that"):
        pixprompt.deploy(out, model=paid, student_first=True)
    trust("python:own_student:net@16")
    (out / "student.safetensors").write_bytes(b"{}")
    with pytest.raises(PromptError, match="damaged"):
        pixprompt.deploy(out, model=paid, student_first=True)
    (out / "student.safetensors").unlink()
    with pytest.raises(PromptError, match="missing"):
        pixprompt.deploy(out, model=paid, student_first=True)
