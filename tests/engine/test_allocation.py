"""What a budget is spent on: never more than it, the output transform first, the prompt only where it can pay."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pixprompt.core import ConfigError
from pixprompt.engine.budget.allocation import PURPOSES, Allocation, allocate

DIGITS = {"num_train": 800, "num_val": 200, "num_test": 400, "has_prompt": True}
CIFAR = {"num_train": 45_000, "num_val": 5_000, "num_test": 10_000, "has_prompt": True, "num_classes": 10}
FEW = {"num_train": 50, "num_val": 20, "num_test": 300, "has_prompt": True}

SETUPS = st.fixed_dictionaries(
    {
        "num_train": st.integers(0, 60_000) | st.integers(0, 300),
        "num_val": st.integers(0, 10_000) | st.integers(0, 60),
        "num_test": st.integers(0, 10_000) | st.integers(0, 60),
        "has_prompt": st.booleans(),
        "num_classes": st.integers(0, 1000),
        "num_starts": st.integers(0, 12),
    }
)
BUDGETS = st.integers(0, 1200) | st.integers(0, 60_000)


def plan(budget: int, setup: dict[str, Any], **more: Any) -> Allocation:
    return allocate(budget, **{**setup, **more})


@pytest.mark.parametrize(
    ("setup", "budget", "expected"),
    [
        (DIGITS, 0, Allocation()),
        (DIGITS, 25, Allocation(head=25)),
        (DIGITS, 99, Allocation(head=99)),
        (DIGITS, 200, Allocation(head=154, val=38, noise=8)),
        (DIGITS, 250, Allocation(head=154, val=38, noise=8, test=50)),
        (DIGITS, 600, Allocation(head=372, val=92, noise=16, test=120)),
        (DIGITS, 1000, Allocation(head=628, val=156, noise=16, test=200)),
        (FEW, 50, Allocation(head=50)),
        (FEW, 65, Allocation(head=50, val=15)),
        (CIFAR, 3000, Allocation(head=1908, val=476, noise=16, test=600)),
    ],
)  # fmt: skip
def test_known_cases(setup: dict[str, Any], budget: int, expected: Allocation) -> None:
    assert plan(budget, setup) == expected


def test_a_large_budget_answers_every_label_first_and_then_learns_a_prompt() -> None:
    allocation = plan(5000, DIGITS)
    assert (allocation.head, allocation.val, allocation.noise, allocation.test, allocation.test_images) == (
        800,
        200,
        32,
        800,
        400,
    )
    assert allocation.prompt == 5000 - 800 - 200 - 32 - 800 == 3168
    assert (allocation.start, allocation.selection, allocation.final_head) == (400, 792, 792)
    assert (allocation.search, allocation.total) == (1184, 5000)


def test_with_many_labels_the_prompt_waits_until_enough_are_answered() -> None:
    assert plan(4000, CIFAR).prompt == 0
    allocation = plan(5000, CIFAR)
    assert (allocation.head + allocation.val, allocation.prompt) == (1587, 5000 - 1000 - 32 - 1587)
    assert plan(5000, CIFAR, num_classes=100).prompt == 0  # 50 labelled images per class come first


def test_starts_are_compared_on_enough_images_or_not_at_all() -> None:
    assert plan(700, FEW, test_images=0).start == 0
    assert plan(760, FEW, test_images=0).start == 4 * 32
    assert plan(760, FEW, test_images=0, num_starts=6).start == 0
    assert plan(700, FEW, test_images=0, num_starts=1).start == 50  # one that has to be asked about is asked about


def test_the_number_of_test_images_may_be_given() -> None:
    assert plan(25, DIGITS, test_images=0) == Allocation(head=25)
    assert plan(100, DIGITS, test_images=60).test == 60
    assert plan(100, DIGITS, test_images=60).head == 40
    allocation = plan(5000, DIGITS, test_images=150)
    assert (allocation.test, allocation.test_images, allocation.rungs) == (300, 150, 2)
    assert plan(5000, DIGITS, test_images=9999).test == 800  # there are no more
    with pytest.raises(ConfigError, match="101 test images do not fit into a budget of 100"):
        plan(100, DIGITS, test_images=101)


def test_negative_numbers_are_refused() -> None:
    for wrong in ({"num_train": -1}, {"test_images": -1}, {"num_starts": -2}):
        with pytest.raises(ConfigError, match="at least 0, got -"):
            plan(100, DIGITS, **wrong)
    with pytest.raises(ConfigError):
        plan(-1, DIGITS)


def test_a_plan_can_be_saved() -> None:
    allocation = plan(250, DIGITS)
    assert allocation.to_json() == {**asdict(allocation), "total": 250}
    assert list(asdict(allocation)) == list(PURPOSES)
    options = {name: count for name, count in allocation.to_json().items() if count}
    assert options == {"head": 154, "val": 38, "noise": 8, "test": 50, "total": 250}


@given(BUDGETS, SETUPS, st.none() | st.integers(0, 2000))
@settings(max_examples=500, deadline=None)
def test_it_always_holds(budget: int, setup: dict[str, Any], test_images: int | None) -> None:
    if test_images is not None:
        test_images = min(test_images, budget)
    allocation = plan(budget, setup, test_images=test_images)
    num_train, num_val, num_test = setup["num_train"], setup["num_val"], setup["num_test"]
    assert min(asdict(allocation).values()) >= 0
    assert allocation.total == sum(asdict(allocation).values()) <= budget
    assert allocation.head <= num_train
    assert allocation.val <= num_val
    assert allocation.final_head <= allocation.head
    assert allocation.noise <= allocation.rungs * min(16, allocation.head)
    assert allocation.test == allocation.rungs * allocation.test_images
    expected = num_test if test_images is None else min(num_test, test_images)
    assert allocation.test_images <= expected if test_images is None else allocation.test_images == expected
    if test_images is None and allocation.test:
        assert allocation.test <= budget / 5
        assert allocation.test_images >= min(50, num_test)
    if allocation.head + allocation.val < 100:
        assert allocation.val == 0 or allocation.head == num_train
    if allocation.prompt:
        assert setup["has_prompt"]
        assert allocation.val > 0
        assert allocation.prompt >= 500
        assert allocation.head == num_train or (allocation.head + allocation.val >= 1500 and allocation.prompt >= 2000)
        assert allocation.selection <= max(allocation.prompt / 4, 2 * allocation.val)
        assert allocation.search >= allocation.prompt // 4
        assert allocation.start % setup["num_starts"] == 0 if allocation.start else True
        assert allocation.total >= budget - 1
    elif allocation.head + allocation.val < num_train and allocation.noise == 0 and allocation.test == 0:
        assert allocation.total == budget  # labelled images are left: nothing is


@given(BUDGETS, st.integers(1, 3000), SETUPS)
@settings(max_examples=300, deadline=None)
def test_more_budget_never_means_less(budget: int, more: int, setup: dict[str, Any]) -> None:
    less, allocation = plan(budget, setup), plan(budget + more, setup)
    assert allocation.total >= less.total
    assert allocation.prompt >= less.prompt
    assert allocation.test >= less.test - 1
    if not allocation.prompt and allocation.test == less.test:
        # noise is measured from 100 queries on, and its first few come out of the labelled images
        assert allocation.head + allocation.val + allocation.noise >= less.head + less.val + less.noise
    if not setup["has_prompt"] and not less.test and not allocation.test and less.head >= 100:
        assert allocation.head >= less.head
        assert allocation.val >= less.val


@given(st.integers(0, 625), SETUPS)
def test_small_budgets_go_into_the_output_transform(budget: int, setup: dict[str, Any]) -> None:
    allocation = plan(budget, {**setup, "num_train": setup["num_train"] + 100})
    assert allocation.prompt == 0


@given(st.integers(100, 3000), SETUPS)
def test_a_forced_search_stays_within_the_budget(budget: int, setup: dict[str, Any]) -> None:
    forced, free = plan(budget, setup, search_anyway=True), plan(budget, setup)
    assert min(asdict(forced).values()) >= 0
    assert forced.total <= budget
    assert forced.prompt >= free.prompt
    if setup["has_prompt"] and setup["num_train"] >= 20 and setup["num_val"] >= 20:
        assert forced.prompt > 0
        assert forced.val > 0
        assert forced.head > 0
