"""Races: the budget holds, useful views are kept, useless ones are not."""

from __future__ import annotations

import pytest
import torch

from pixprompt.search import PLAIN, Race, Winner

from .toy import answers_of, balanced, pool_of

CLASSES = 4


def run(
    strengths: list[float], seed: int, *, budget: int = 900, size: int | None = None, shuffled: bool = False
) -> Winner:
    labels = balanced(500, CLASSES)
    answers = answers_of(labels, strengths, seed)
    if shuffled:
        labels = labels[torch.randperm(500, generator=torch.Generator().manual_seed(1000 + seed))]
    pool = pool_of(answers, labels, budget)
    winner = Race(len(strengths), CLASSES, predictions=1000, size=size).run(pool, first=0)
    assert pool.asked <= budget
    assert all(pool.count(view) >= winner.num_images for view in winner.views)
    return winner


@pytest.mark.parametrize("size", [None, 1, 3])
def test_views_that_help_are_kept(size: int | None) -> None:
    winner = run([0.2, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0], seed=0, size=size)
    assert set(winner.views) <= {0, 1, 3, 5}
    assert winner.views != (PLAIN,)
    assert winner.comparison is not None
    assert winner.comparison.gain > 0.1
    assert size in (None, len(winner.views))


def test_answers_that_say_all_by_themselves_need_no_committee() -> None:
    assert run([4.0, 4.0, 4.0, 4.0, 4.0], seed=0).views == (PLAIN,)


def test_a_budget_that_pays_for_no_race_goes_into_the_plain_view() -> None:
    winner = run([0.2, 1.0, 1.0, 1.0], seed=0, budget=60)
    assert winner == Winner((PLAIN,), 60)


NULLS = ("shuffled labels", "useless views")


def count_kept(null: str, races: int) -> int:
    """How often a race keeps a prompt that is of no use."""
    shuffled = null == "shuffled labels"
    strengths = [1.0] * 6 if shuffled else [0.7, 0.0, 0.0, 0.0, 0.0, 0.0]
    return sum(run(strengths, seed, budget=500, shuffled=shuffled).views != (PLAIN,) for seed in range(races))


@pytest.mark.parametrize("null", NULLS)
def test_a_useless_prompt_is_rarely_kept(null: str) -> None:
    """At a rate of 1 in 20, four of 20 or more would have a chance of 2%."""
    assert count_kept(null, 20) < 4


@pytest.mark.slow
@pytest.mark.parametrize("null", NULLS)
def test_a_useless_prompt_is_kept_at_most_once_in_twenty(null: str) -> None:
    """At a rate of 1 in 20, 16 of 200 or more would have a chance of 4%."""
    assert count_kept(null, 200) < 16


def test_a_useful_prompt_is_kept_far_more_often_than_a_useless_one() -> None:
    kept = [run([0.3, 1.0, 1.0, 0.0], seed, budget=600).views != (PLAIN,) for seed in range(20)]
    assert sum(kept) >= 18


def test_images_without_an_answer_take_no_part() -> None:
    labels = balanced(300, CLASSES)
    answers = answers_of(labels, [0.2, 1.0, 1.0, 0.2], seed=0)
    answers[1][::7] = torch.nan
    pool = pool_of(answers, labels, 600)
    winner = Race(4, CLASSES, predictions=100).run(pool, first=0)
    assert winner.comparison is not None
    assert winner.comparison.num_images < winner.num_images or 1 not in winner.best
