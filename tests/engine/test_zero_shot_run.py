"""Runs of models that are asked about labels of the caller's choice: which labels, at what price, and ever after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pixprompt
from pixprompt.core import ConfigError, ModelError, PromptError
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, evaluate, plan, train
from pixprompt.engine.parts import build
from pixprompt.ledger.summary import read_ledger
from pixprompt.models import as_model
from pixprompt.search import COMMON_NOUNS

from .conftest import CLASSES
from .toy import Closed, KillAfter, Killed, numbers
from .zero_shot import ZeroShotToy


def settings(**options: object) -> TrainConfig:
    return TrainConfig(
        model="toy",
        data="toy",
        **{"budget": 200, "method": "none", "size": 4, "output": "ridge", "test_images": 45, **options},
    )


@pytest.mark.parametrize(
    "more", [{}, {"method": "pixel", "views": "auto", "budget": 300, "test_images": 20}], ids=["head alone", "views"]
)
def test_further_words_read_more_at_the_same_number_of_queries(
    more: dict[str, str], data: Data, tmp_path: Path
) -> None:
    accuracy, paid = {}, {}
    for vocabulary in ("none", "auto"):
        toy = ZeroShotToy(max_labels=20)
        config = settings(vocabulary=vocabulary, **more)
        result = train(config, out=tmp_path / vocabulary, model=as_model(toy, name="toy"), data=data)
        accuracy[vocabulary] = result.accuracy["output_only"].test
        paid[vocabulary] = result.queries["images"]
        assert toy.images == paid[vocabulary] <= config.search.budget
    assert paid["auto"] <= paid["none"]
    assert accuracy["auto"] > accuracy["none"] + 0.15


def test_the_same_labels_are_asked_ever_after(data: Data, tmp_path: Path) -> None:
    toy = ZeroShotToy(max_labels=20)
    result = train(settings(), out=tmp_path / "run", model=as_model(toy, name="toy"), data=data)
    labels = (*CLASSES, *COMMON_NOUNS[:17])
    assert set(toy.label_sets) == {labels}
    assert result.queries["labels"] == len(labels)
    assert read_ledger(tmp_path / "run/ledger.sqlite")["labels_per_query"] == len(labels)
    assert any("20 labels" in note and "--vocabulary" in note for note in result.notes)
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["search"]["vocabulary"] == "auto"
    later = ZeroShotToy(max_labels=30)
    again = evaluate(tmp_path / "run/prompt.png", model=as_model(later, name="toy"), data=data)
    assert set(later.label_sets) == {labels}
    assert again.accuracy["prompt_png"] == result.accuracy["prompt_png"]
    data.test.open(0).save(tmp_path / "0.png")
    with pixprompt.deploy(tmp_path / "run", model=as_model(later, name="toy")) as deployed:
        assert deployed(tmp_path / "0.png").label in CLASSES
    with pytest.raises(PromptError, match=r"20 labels.*about 10 at a time"):
        pixprompt.deploy(tmp_path / "run", model=as_model(ZeroShotToy(max_labels=10), name="toy"))


def test_limits_and_files_are_honoured_and_the_dry_run_says_so(data: Data, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("stroke\nred\ncurve\n")
    planned = plan(build(settings(vocabulary=str(tmp_path / "words.txt")), model=as_model(ZeroShotToy()), data=data))
    assert "about 5 labels: 3 of the classes and 2 further words (stroke, curve" in planned["outlook"][0]
    limited = build(settings(), model=as_model(ZeroShotToy(max_labels=10)), data=data)
    assert limited.model.spec.labels == (*CLASSES, *COMMON_NOUNS[:7])
    alone = build(settings(vocabulary="none"), model=as_model(ZeroShotToy()), data=data)
    assert alone.model.spec.labels == CLASSES
    assert plan(alone)["outlook"] == plan(build(settings(vocabulary="none"), model=alone.model, data=data))["outlook"]
    with pytest.raises(ConfigError, match="2 labels at a time, but there are 3 classes"):
        build(settings(), model=as_model(ZeroShotToy(max_labels=2)), data=data)


def test_a_stopped_run_goes_on_with_its_own_words_only(data: Data, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(COMMON_NOUNS[:9]))
    config, out = settings(vocabulary=str(words)), tmp_path / "run"
    whole = train(config, out=tmp_path / "whole", model=as_model(ZeroShotToy(), name="toy"), data=data)
    with pytest.raises(Killed):
        train(config, out=out, model=as_model(ZeroShotToy(), name="toy"), data=data, reporter=KillAfter(20, "score"))
    words.write_text("\n".join(COMMON_NOUNS[9:18]))
    with pytest.raises(ConfigError, match="started with other"):
        train(TrainConfig(), out=out, resume=True, model=as_model(ZeroShotToy(), name="toy"), data=data)
    words.write_text("\n".join(COMMON_NOUNS[:9]))
    result = train(TrainConfig(), out=out, resume=True, model=as_model(ZeroShotToy(), name="toy"), data=data)
    assert numbers(result)["accuracy"] == numbers(whole)["accuracy"]


def test_models_with_labels_of_their_own_have_no_vocabulary(model, data: Data) -> None:
    for model_in_use in (Closed(model), model):
        with pytest.raises(ConfigError, match="--vocabulary"):
            build(settings(vocabulary="auto"), model=model_in_use, data=data)
        assert build(settings(), model=model_in_use, data=data).config.search.vocabulary is None
    with pytest.raises(ConfigError, match="--vocabulary serves runs that learn from answers"):
        build(TrainConfig(vocabulary="auto", data="toy"), model=model, data=data)


def test_nothing_is_asked_before_labels_are_named() -> None:
    import torch

    toy = ZeroShotToy()
    bare = as_model(toy, name="toy")
    assert toy.label_sets == []
    with pytest.raises(ModelError, match="none are named"):
        bare(torch.zeros(1, 3, 16, 16))
    named = as_model(toy, labels=["a", "b"])
    assert named(torch.zeros(2, 3, 16, 16)).shape == (2, 2)
    assert set(toy.label_sets) == {("a", "b")}
