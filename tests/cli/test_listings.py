"""The listings: what they print is what the commands take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.adapters import METHODS
from pixprompt.cli import main
from pixprompt.data import DATASETS
from pixprompt.engine import TrainConfig
from pixprompt.models import MODELS
from pixprompt.models.loading import PREFIXES

from .toy import Toy

LISTINGS = ("models", "datasets", "templates", "outputs", "methods", "optimizers", "protocols")


def listed(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main([name, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    values: dict[str, str] = json.loads(captured.out)
    return values


@pytest.mark.parametrize("name", LISTINGS)
def test_both_forms_say_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = listed(name, capsys)
    assert list(values) == sorted(values)
    assert main([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(None, 1) for line in lines] == [[entry, line] for entry, line in values.items()]
    assert len({line.index(values[line.split()[0]]) for line in lines}) == 1  # one column


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_takes_nothing_else(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "extra"]) == 2
    assert "extra" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listing", "option"),
    [
        ("templates", "--template"),
        ("outputs", "--output"),
        ("methods", "--method"),
        ("optimizers", "--optimizer"),
    ],
)
def test_every_listed_name_is_one_that_train_takes(
    toy: Toy, listing: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in listed(listing, capsys):
        free = ("adam", "sgd", "pixel") if listing in ("methods", "optimizers") else ()
        arguments = toy.train("run", "--dry-run", "--json")
        if free and name not in free:  # learned from answers alone: without what serves gradients
            arguments = [*arguments[: arguments.index("--size")], "--size", "4", "--dry-run", "--json"]
        code = main([*arguments, option, name])
        captured = capsys.readouterr()
        if code == 0:
            planned = TrainConfig.from_json(json.loads(captured.out)["config"], source="plan").options()
            assert planned[option.removeprefix("--")] == name
        else:  # it lacks something that the message names; it is not unknown
            lacking = {"text", "residual", "attributes", "reweighted", "dvp", "semantic", "given", "names", "blackvip"}
            inside = {each for each in METHODS if METHODS[each].white_box}  # the toy is of no family that they can open
            assert (code, name) in {(2, each) for each in lacking | inside}
            assert "unknown" not in captured.err
    assert not Path("run").exists()


def test_every_short_model_name_leads_to_a_form_that_is_known() -> None:
    for name in MODELS:
        prefix, colon, target = MODELS[name].partition(":")
        assert prefix in {*PREFIXES, "efficientnet_lite", "moco_v3"}, name
        assert target or not colon


def test_the_models_of_the_vp_paper_and_the_embedded_default_have_short_names() -> None:
    assert {"clip-vit-b32", "rn50", "bit-m-rn50", "instagram-resnext101"} <= set(MODELS)
    assert {"efficientnet-lite0", "mobilenet-v2"} <= set(MODELS)
    assert "digits" in DATASETS
