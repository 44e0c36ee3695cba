"""The model card of a run: read by the hub's own reader, and honest about the strongest baseline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from pixprompt import TrainConfig
from pixprompt.engine.result import RUNGS, Change, Result, Score
from pixprompt.engine.saved.model_card import model_card

CONFIG = TrainConfig(model="resnet18", data="digits")


def score(test: float, output: str) -> Score:
    return Score(0.5, test, (test - 0.04, test + 0.03), output)


SCORES = (score(0.25, "names"), score(0.8, "linear"), score(0.9, "blm"), score(0.912, "blm"))
RESULT = Result(
    method="pixel",
    model="resnet18",
    data="folder:/home/me/secret/flowers",
    classes=("daisy", "a|b", "<script>x</script>"),
    counts={"train": 1500, "val": 100, "test": 500},
    parameters=69840,
    seed=3,
    accuracy=dict(
        zip(RUNGS, (score(0.25, "names"), score(0.8, "linear"), score(0.9, "blm"), score(0.912, "blm")), strict=True)
    ),
    queries={"images": 5, "per_prediction": 2.5},
)


def test_the_reader_of_the_hub_finds_what_it_shows() -> None:
    data = ModelCard(model_card(RESULT, CONFIG)).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("unknown", "pixprompt", "image-classification")
    (result,) = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("flowers", "accuracy", 0.912)


def test_the_text_says_how_good_beside_the_strongest_baseline() -> None:
    card = model_card(RESULT, CONFIG)
    assert "On 500 test images it reads **91.2% (95% interval 87.2% to 94.2%)** right." in card
    assert "output transform linear on the images as they are, reads 80.0% (95% interval 76.0% to 83.0%)." in card
    change = Change("output_only", "prompt_png", 60, 4, 500, 0.112, (0.08, 0.144))
    paired = model_card(replace(RESULT, changes=(change,)), CONFIG)
    assert "83.0%): +11.2 points (95% paired interval +8.0 to +14.4) on the same images." in paired
    assert "preview.png" not in card
    assert "](preview.png)" in model_card(RESULT, CONFIG, preview=True)
    assert "| no prompt | 25.0% | 21.0% to 28.0% | names |" in card
    assert "takes 2.5 queries" in card
    assert 'pixprompt.deploy("prompt.png", model="resnet18")' in card


def test_a_baseline_that_is_better_is_said_to_be() -> None:
    accuracy = {**RESULT.accuracy, "output_only": score(0.95, "linear")}
    assert "as many or more, 95.0%" in model_card(replace(RESULT, accuracy=accuracy), CONFIG)
    empty = model_card(replace(RESULT, best="none"), CONFIG)
    assert "no prompt was better" in empty


def test_names_do_not_break_the_page_nor_tell_of_folders() -> None:
    card = model_card(replace(RESULT, model="open_clip:local-dir:/home/me/clip/", data="a\n---\nx: 1"), CONFIG)
    assert "/home/me" not in card
    for kind in ("ade20k", "csv", "folder", "lists", "webdataset"):
        assert "/home/me" not in model_card(replace(RESULT, data=f"{kind}:/home/me/flowers"), CONFIG)
    assert r"a\|b" in card
    assert "<script>" not in card
    assert "\nx: 1" not in card
    assert ModelCard(card).data.license == "unknown"


@pytest.mark.parametrize("method", ["linear", "blackvip"])
def test_every_kind_of_file_is_deployed_by_its_own_name(method: str) -> None:
    options = {"encoder": "resnet18"} if method == "blackvip" else {}
    config = TrainConfig(model="resnet18", data="digits", method=method, **options)
    card = model_card(replace(RESULT, best="adapter" if method == "linear" else "prompt"), config)
    expected = {"linear": "adapter.safetensors", "blackvip": "the folder of the run"}[method]
    assert f'pixprompt.deploy("{expected}"' in card
    assert "pixprompt apply" not in card
