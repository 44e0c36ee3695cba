"""Which settings of a call win, what a budget sets aside for a remote model, and what a picture may not decide."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pixprompt.core import ConfigError
from pixprompt.engine import Calls, TrainConfig, deploy
from pixprompt.engine.budget.allocation import reserve_of
from pixprompt.engine.config.presets import affordable
from pixprompt.engine.inputs.opening import endpoint_options, is_remote, open_model
from pixprompt.remote import RemoteModel

from ..images import make_prompt


def test_what_is_said_wins_over_what_the_run_was_configured_with() -> None:
    run = Calls.of(TrainConfig(protocol="v2", concurrency=2, rate=3.0, budget=9))
    assert (run.protocol, run.concurrency, run.rate, run.timeout, run.budget) == ("v2", 2, 3.0, 60.0, None)
    both = Calls(concurrency=7, ledger=Path("l")).over(run)
    assert (both.concurrency, both.rate, both.protocol, both.ledger) == (7, 3.0, "v2", Path("l"))
    shared = {item.name for item in fields(Calls)} - {"ledger"}
    assert shared <= TrainConfig().options().keys()


def test_urls_are_told_from_names() -> None:
    assert [is_remote(name) for name in ("https://a/b", "endpoint:clarifai", "timm:http", "python:https:x")] == [
        *(True, True, False, False)
    ]
    with pytest.raises(ConfigError, match="--endpoint goes with a model behind a URL"):
        open_model("rn50", calls=Calls(endpoint="google-vision"))


@given(st.integers(0, 10**6))
def test_the_reserve_is_a_twentieth_where_that_is_enough(budget: int) -> None:
    reserve = reserve_of(budget)
    assert reserve <= budget / 4
    assert reserve >= min(8, budget // 4)
    if budget >= 160:
        assert budget / 20 <= reserve < budget / 20 + 1


def test_money_becomes_queries() -> None:
    assert affordable(None, None) is None
    assert affordable(3.0, 1.5) == 2000
    assert affordable(3.0, 0.0) is None
    with pytest.raises(ConfigError, match="--price-per-1000"):
        affordable(3.0, None)
    with pytest.raises(ConfigError, match="--max-cost must be at least 0, got nan"):
        affordable(float("nan"), 1.0)
    for price in (-1.0, float("nan")):  # before anything is paid
        with pytest.raises(ConfigError, match="price per 1000 queries must be at least 0"):
            Calls(price_per_1000=price)


def test_a_picture_does_not_decide_where_images_are_sent(tmp_path: Path) -> None:
    prompt = make_prompt()
    object.__setattr__(prompt, "model", "https://example.invalid/v2/models/m")
    object.__setattr__(prompt, "output", {"kind": "first-k", "classes": ["a", "b"]})
    prompt.save(tmp_path / "prompt.png")
    with pytest.raises(ConfigError, match=r"must not decide where images are sent.*--model https://example.invalid"):
        deploy(tmp_path / "prompt.png")


def test_options_of_a_description_are_read_and_fill_its_url(tmp_path: Path) -> None:
    text = 'project=p-1, iteration=3,deep=true,version="5",date=2024-01,rate=1.50'
    assert endpoint_options(text) == {
        **{"project": "p-1", "iteration": 3, "deep": True, "version": "5", "date": "2024-01", "rate": "1.50"}
    }
    assert endpoint_options(None) == {}
    with pytest.raises(ConfigError, match="name=value,name=value, got 'project'"):
        endpoint_options("project,iteration=3")
    known = {"protocol": "json", "url": "http://127.0.0.1:9/{project}/{iteration}", "image_size": 16}
    options = {"body": {"image": "$base64"}, "scores": "scores"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**known, "options": options}))
    model = open_model(f"endpoint:{path}", calls=Calls(endpoint_options="project=p-1,iteration=3"))
    assert isinstance(model, RemoteModel)
    assert model.spec.name == f"endpoint:{path}"
    assert model.protocol.endpoint.url == "http://127.0.0.1:9/p-1/3"
    with pytest.raises(ConfigError, match="needs 'iteration'"):
        open_model(f"endpoint:{path}", calls=Calls(endpoint_options="project=p-1"))
    with pytest.raises(ConfigError, match="names a description already"):
        open_model(f"endpoint:{path}", calls=Calls(endpoint="google-vision"))
    with pytest.raises(ConfigError, match="--endpoint-options goes with a model behind a URL"):
        open_model("rn50", calls=Calls(endpoint_options="project=p"))


def test_the_description_of_a_run_is_found_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("{}")
    config = TrainConfig(model="endpoint:mine.json", endpoint="mine.json").with_absolute_paths()
    assert (config.model.name, config.endpoint.description) == (
        f"endpoint:{tmp_path}/mine.json",
        f"{tmp_path}/mine.json",
    )
    config = TrainConfig(surrogate="resnet18,open_clip:local-dir:clip", surrogate_weights="a,,b").with_absolute_paths()
    assert config.search.surrogate == f"resnet18,open_clip:local-dir:{tmp_path / 'clip'}"
    assert config.search.surrogate_weights == f"{tmp_path / 'a'},,{tmp_path / 'b'}"
    config = TrainConfig(model="endpoint:clarifai", endpoint="clarifai").with_absolute_paths()
    assert (config.model.name, config.endpoint.description) == ("endpoint:clarifai", "clarifai")


def test_what_a_picture_says_is_quoted_for_the_shell(tmp_path: Path) -> None:
    prompt = make_prompt()
    object.__setattr__(prompt, "model", "https://example.invalid/m;rm -rf x")
    object.__setattr__(prompt, "output", {"kind": "first-k", "classes": ["a", "b"]})
    prompt.save(tmp_path / "prompt.png")
    with pytest.raises(ConfigError, match=r"--model 'https://example\.invalid/m;rm -rf x'"):
        deploy(tmp_path / "prompt.png")
