"""What may change when a run by answers goes on: money, queries, and what to do about doubts, each for its time."""

import pytest

from pixprompt.engine import TrainConfig, train
from pixprompt.engine.config.train_config import run_config

from .toy import Closed


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(model="toy-net", data="toy", size=4, budget=100, output="blm", test_images=10)


def test_more_money_pays_for_more_when_a_run_goes_on(config, model, data, tmp_path) -> None:
    config = config.with_values(budget=None, max_cost=0.1, price_per_1000=1.0)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", model=Closed(model, fails_at=2), data=data)
    assert run_config(tmp_path / "run").search.budget is None  # or what 0.1 paid for would be the limit for ever
    changes = {"max_cost": 0.4}
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, changes=changes, model=Closed(model), data=data)
    assert result.queries["budget"] == 400
    assert 100 < result.queries["images"] <= 400
    repeated = train(run_config(tmp_path / "run"), out=tmp_path / "again", model=Closed(model), data=data)
    assert repeated.queries["budget"] == 400


def test_a_number_of_queries_that_was_given_holds_whatever_money_pays_for(config, model, data, tmp_path) -> None:
    config = config.with_values(budget=150, max_cost=0.1, price_per_1000=1.0)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", model=Closed(model, fails_at=2), data=data)
    changes = {"max_cost": 9.0}
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, changes=changes, model=Closed(model), data=data)
    assert result.queries["budget"] == 150


@pytest.mark.parametrize("first", [None, "retry"])
def test_a_decision_about_doubts_is_not_kept_for_the_next_crash(first, config, model, data, tmp_path) -> None:
    config = config.with_values(in_doubt=first)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", model=Closed(model, fails_at=2), data=data)
    changes = {"in_doubt": "skip"}
    train(TrainConfig(), out=tmp_path / "run", resume=True, changes=changes, model=Closed(model), data=data)
    assert run_config(tmp_path / "run").endpoint.in_doubt == first
