"""Using a saved prompt from Python: `pixprompt.deploy`, `evaluate` and `predict`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import pixprompt
from pixprompt.core import ConfigError, DataError, ModelError, PromptError
from pixprompt.data import Data
from pixprompt.engine import RUNGS, evaluate
from pixprompt.models import as_model


@pytest.fixture
def run(config, model, data, wholes):
    folder, result = wholes(config.with_values(epochs=15), model=model, data=data)
    assert result.best == "prompt"
    return folder, result


def test_both_rungs_of_a_file_are_those_of_its_run(run, model, data) -> None:
    folder, result = run
    again = evaluate(folder / "prompt.png", model=model, data=data, price_per_1000=10.0)
    assert again.accuracy["prompt_png"] == result.accuracy["prompt_png"]
    assert list(again.accuracy) == list(RUNGS)
    assert again.accuracy["output_only"] is again.accuracy["prompt_float"] is None
    (change,) = again.changes
    assert change.share == pytest.approx(again.accuracy["prompt_png"].test - again.accuracy["no_prompt"].test)
    assert change.images == again.counts["test"]
    assert again.counts == result.counts
    assert again.parameters == result.parameters
    assert again.queries["cost"] == pytest.approx(again.queries["images"] / 100)


def test_a_model_that_gives_scores_only_is_enough(run, model, data, config) -> None:
    def scores(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(model(images).detach().numpy())

    folder, result = run
    opaque = as_model(scores, image_size=(16, 16), name="opaque")
    again = evaluate(folder / "prompt.png", model=opaque, data=data)
    assert again.accuracy["prompt_png"] == result.accuracy["prompt_png"]


def test_the_order_of_the_classes_counts(run, model, data) -> None:
    turned = replace(data, classes=data.classes[::-1])
    with pytest.raises(ConfigError, match="'red' in the prompt, 'striped' in the data"):
        evaluate(run[0] / "prompt.png", model=model, data=turned)
    fewer = replace(data, classes=data.classes[:2])
    with pytest.raises(ConfigError, match="'striped' in the prompt, 'nothing' in the data"):
        evaluate(run[0] / "prompt.png", model=model, data=fewer)


def test_a_model_that_does_not_fit_is_refused(run, model, data) -> None:
    larger = as_model(lambda images: images.mean((2, 3)), image_size=(20, 20), name="larger")
    with pytest.raises(PromptError, match="16x16 pixels, but larger takes 20x20"):
        evaluate(run[0] / "prompt.png", model=larger, data=data)
    narrow = as_model(lambda images: images.mean((2, 3)), image_size=(16, 16), name="narrow")
    with pytest.raises(PromptError, match="made for 6 outputs, narrow has 3"):
        evaluate(run[0] / "prompt.png", model=narrow, data=data)


def test_a_model_that_answers_nan_later_is_an_error(run, model, data) -> None:
    calls = []

    def failing(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return model(images) * (float("nan") if len(calls) > 2 else 1.0)

    with pytest.raises(ModelError, match="returned NaN"):
        evaluate(run[0] / "prompt.png", model=as_model(failing, image_size=(16, 16)), data=data)


def test_predictions_are_the_argmax_of_what_evaluate_scores(run, model, data: Data, tmp_path) -> None:
    folder, result = run
    paths = []
    for index in range(len(data.test)):
        paths.append(tmp_path / f"{index:02}.png")
        data.test.open(index).save(paths[-1])
    deployed = pixprompt.deploy(folder / "prompt.png", model=model)
    lines = list(pixprompt.predict(deployed, [str(path) for path in paths], batch_size=7, top=3))
    hits = [line["label"] == data.classes[label] for line, label in zip(lines, data.test.labels, strict=True)]
    assert sum(hits) / len(hits) == pytest.approx(result.accuracy["prompt_png"].test)
    assert deployed.model.queries == len(paths)
    canvases = np.stack([deployed.prompt.single.apply(np.asarray(Image.open(path))) for path in paths])
    images = torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255
    logits = deployed.output(model(images))
    assert [data.classes[index] for index in logits.argmax(1)] == [line["label"] for line in lines]


def test_a_batch_size_changes_no_prediction(run, model, data: Data, tmp_path) -> None:
    for index in range(5):
        data.test.open(index).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes(b"")
    deployed = pixprompt.deploy(run[0] / "prompt.png", model=model)
    names = [str(tmp_path / f"{index}.png") for index in range(5)]
    whole, single = (list(pixprompt.predict(deployed, names, batch_size=size)) for size in (5, 1))
    assert [line["path"] for line in whole] == [line["path"] for line in single] == names
    for one, other in zip(whole, single, strict=True):
        assert one.get("label") == other.get("label")
        assert one.get("probability") == pytest.approx(other.get("probability"), abs=1e-5)
    assert whole[2].keys() == {"path", "error"}


def test_nothing_is_asked_when_an_input_is_not_there(run, model, data: Data, tmp_path) -> None:
    data.test.open(0).save(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    deployed = pixprompt.deploy(run[0] / "prompt.png", model=model)
    with pytest.raises(DataError, match="no images found"):
        list(pixprompt.predict(deployed, [str(tmp_path / "a.png"), str(tmp_path / "empty")]))
    assert deployed.model.queries == 0
