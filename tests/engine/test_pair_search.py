"""What `--search` tries: the whole grid in order, or so many pairs of Optuna's choice; so too after an interruption."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from pixprompt.core import ConfigError
from pixprompt.engine import TrainConfig
from pixprompt.engine.learners.by_grid_search import PairSearch


def config(**values: Any) -> TrainConfig:
    options = {"lr_grid": "0.1,0.001", "weight_decay_grid": "0,0.01", "search": True, "seed": 3}
    return TrainConfig(method="linear", **options | values)


def accuracy(rate: float, decay: float) -> float | None:
    """Best at a rate of 0.01; a large rate diverges."""
    return None if rate > 0.08 else 1 / (1 + abs(math.log10(rate) + 2)) - decay


def searched(config: TrainConfig, finished: tuple[dict[str, Any], ...] = (), at_most: int = 99) -> list[dict[str, Any]]:
    search, lines = PairSearch(config, finished), list(finished)
    while len(lines) < at_most and (pair := search.ask()) is not None:
        lines.append({"lr": pair[0], "weight_decay": pair[1], "val_accuracy": accuracy(*pair)})
        search.tell(lines[-1]["val_accuracy"])
    return lines


def test_any_seed_will_do() -> None:
    assert PairSearch(config(seed=2**40), ()).ask() == (0.001, 0.0)


def test_the_grid_is_tried_whole_and_in_order_from_where_it_was_left() -> None:
    lines = searched(config())
    assert [(line["lr"], line["weight_decay"]) for line in lines] == [
        (0.001, 0.0), (0.001, 0.01), (0.1, 0.0), (0.1, 0.01)]  # fmt: skip
    assert searched(config(), tuple(lines[:3])) == lines
    assert searched(config(), tuple(lines)) == lines


def test_trials_lie_between_the_ends_and_close_in_on_the_best() -> None:
    lines = searched(config(search_trials=30))
    assert len(lines) == 30
    assert all(0.001 <= line["lr"] <= 0.1 and line["weight_decay"] in (0.0, 0.01) for line in lines)
    assert max(line["val_accuracy"] or 0 for line in lines) > 0.9  # of the grid's own rates none is above 0.5
    assert len({line["lr"] for line in lines}) == 30


def test_an_interrupted_search_proposes_what_it_would_have() -> None:
    whole = searched(config(search_trials=14))
    part = searched(config(search_trials=14), at_most=12)
    assert part == whole[:12]
    assert searched(config(search_trials=14), tuple(part)) == whole
    assert searched(config(search_trials=14, seed=4)) != whole  # negative control


def test_a_missing_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pixprompt\[search\]"):
        PairSearch(config(), ())
