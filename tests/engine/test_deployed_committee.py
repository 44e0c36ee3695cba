"""A committee in use: every view is a query, and what is predicted is what `evaluate` scores and `apply` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pixprompt
from pixprompt.canvas import Canvas, Tone
from pixprompt.core import ConfigError, PromptError
from pixprompt.data import Data
from pixprompt.engine import evaluate
from pixprompt.outputs import make_output
from pixprompt.prompt import Committee, Prompt, load_committee
from pixprompt.views import Pattern, View

from .conftest import SIZE

VIEWS = (View(), View(size=0.75, frame=Pattern((255, 255, 255))), View(tone=Tone(invert=True)))


def answers_under(model, page: Prompt, images) -> torch.Tensor:
    canvases = np.stack([np.asarray(page.apply(images.open(index))) for index in range(len(images))])
    with torch.no_grad():
        return model(torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255)


@pytest.fixture
def committee(model, data: Data) -> Committee:
    pages = tuple(view.prompt(Canvas((SIZE, SIZE))) for view in VIEWS)
    outputs = torch.cat([answers_under(model, page, data.train) for page in pages], dim=1)
    head = make_output("linear", classes=data.classes, spec=model.spec, views=len(pages))
    head = head.refit(outputs, torch.from_numpy(data.train.labels.copy()))
    return Committee(pages, output=head.to_json(), model=model.spec.name, seed=5)


@pytest.fixture
def file(committee: Committee, tmp_path: Path) -> Path:
    committee.save(tmp_path / "committee.png")
    return tmp_path / "committee.png"


def test_predictions_are_those_of_the_applied_images_and_of_evaluate(file, committee, model, data, tmp_path) -> None:
    (tmp_path / "test").mkdir()
    for index in range(len(data.test)):
        data.test.open(index).save(tmp_path / f"test/{index:02}.png")
    deployed = pixprompt.deploy(file, model=model)
    lines = list(pixprompt.predict(deployed, [str(tmp_path / "test")], batch_size=7))
    assert deployed.model.queries == len(VIEWS) * len(data.test)
    outputs = torch.cat([answers_under(model, page, data.test) for page in committee.pages], dim=1)
    shares = deployed.output(outputs).double().softmax(1)
    assert [line["label"] for line in lines] == [data.classes[index] for index in shares.argmax(1)]
    assert [line["probability"] for line in lines] == pytest.approx(shares.amax(1).tolist(), abs=1e-5)
    hits = [line["label"] == data.classes[label] for line, label in zip(lines, data.test.labels, strict=True)]
    result = evaluate(file, model=model, data=data, price_per_1000=10.0)
    assert result.accuracy["prompt_png"].test == pytest.approx(sum(hits) / len(hits))
    assert result.accuracy["no_prompt"] is None
    assert "Each prediction takes 3 queries" in result.notes[0]
    assert result.queries["images"] == len(VIEWS) * (len(data.val) + len(data.test))
    assert result.queries["cost"] == pytest.approx(result.queries["images"] / 100)
    assert result.parameters == committee.num_params


def test_one_damaged_image_takes_no_other_along(file, model, data, tmp_path) -> None:
    for index in range(3):
        data.test.open(index).save(tmp_path / f"{index}.jpg")
    (tmp_path / "1.jpg").write_bytes(b"")
    deployed = pixprompt.deploy(file, model=model)
    lines = list(pixprompt.predict(deployed, [str(tmp_path / f"{index}.jpg") for index in range(3)]))
    assert [line.keys() for line in lines] == [
        {"path", "label", "probability", "top"},
        {"path", "error"},
        lines[0].keys(),
    ]
    assert deployed.model.queries == 2 * len(VIEWS)


def test_only_damaged_images_are_no_query(file, model, tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    deployed = pixprompt.deploy(file, model=model)
    assert list(next(iter(pixprompt.predict(deployed, [str(tmp_path / "a.jpg")])))) == ["path", "error"]
    assert deployed.model.queries == 0


@pytest.fixture
def staged(committee, model, data: Data, tmp_path: Path) -> Path:
    """The committee with a threshold that sends about half of the images on."""
    outputs = answers_under(model, committee.pages[0], data.train)
    first = make_output("linear", classes=data.classes, spec=model.spec)
    first = first.refit(outputs, torch.from_numpy(data.train.labels.copy()))
    top = first(outputs).softmax(1).topk(2).values
    cascade = {"threshold": float((top[:, 0] - top[:, 1]).median()), "output": first.to_json()}
    replace(committee, cascade=cascade).save(tmp_path / "staged.png")
    return tmp_path / "staged.png"


def test_further_views_are_asked_only_where_the_first_answer_leaves_doubt(staged, file, model, data, tmp_path) -> None:
    (tmp_path / "test").mkdir()
    for index in range(len(data.test)):
        data.test.open(index).save(tmp_path / f"test/{index:02}.png")
    deployed = pixprompt.deploy(staged, model=model)
    lines = list(pixprompt.predict(deployed, [str(tmp_path / "test")], batch_size=7))
    first = answers_under(model, deployed.prompt.pages[0], data.test).numpy()
    in_doubt = deployed.cascade.in_doubt(first)
    assert 0 < in_doubt.sum() < len(data.test)
    assert deployed.model.queries == len(data.test) + (len(VIEWS) - 1) * in_doubt.sum()
    outputs = torch.cat([answers_under(model, page, data.test) for page in deployed.prompt.pages], dim=1)
    assert [line["label"] for line in lines] == [data.classes[index] for index in deployed.output(outputs).argmax(1)]
    read = deployed.reader(outputs.numpy())
    assert read == pytest.approx(deployed.output(outputs).numpy(), abs=1e-4)
    assert (read[in_doubt] == deployed.reader.full(outputs.numpy()[in_doubt])).all()
    hits = [line["label"] == data.classes[label] for line, label in zip(lines, data.test.labels, strict=True)]
    result = evaluate(staged, model=model, data=data)
    assert result.accuracy["prompt_png"].test == pytest.approx(sum(hits) / len(hits))
    images = len(data.val) + len(data.test)
    assert result.queries["images"] == pytest.approx(result.queries["per_prediction"] * images, abs=0.1)
    whole = pixprompt.deploy(staged, model=model, cascade=False)
    plain = pixprompt.deploy(file, model=model)
    image = data.test.open(0)
    assert whole(image) == plain(image)
    assert whole.model.queries == len(VIEWS)
    with pytest.raises(ConfigError, match="has no cascade"):
        pixprompt.deploy(file, model=model, cascade=False)


@pytest.mark.parametrize(
    "change", [{"threshold": "x"}, {"output": {}}, {"output": None}, {"threshold": None}], ids=lambda each: str(each)
)
def test_a_damaged_cascade_is_refused(change, staged, model) -> None:
    committee = load_committee(staged)
    replace(committee, cascade={**committee.cascade, **change}).save(staged)
    with pytest.raises(PromptError, match="cascade of the prompt file cannot be used"):
        pixprompt.deploy(staged, model=model)


def test_a_head_for_another_number_of_views_is_refused(committee, model, tmp_path) -> None:
    replace(committee, pages=committee.pages[:2]).save(tmp_path / "c.png")
    with pytest.raises(PromptError, match=r"holds 2 prompts, but its output transform reads 3"):
        pixprompt.deploy(tmp_path / "c.png", model=model)


def test_a_page_alone_can_only_be_applied(committee, model, tmp_path) -> None:
    committee.pages[1].save(tmp_path / "page.png")
    with pytest.raises(PromptError, match="can only be applied"):
        pixprompt.deploy(tmp_path / "page.png", model=model)
