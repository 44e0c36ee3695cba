"""A budget: what fits is spent, what does not fit is refused and changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, strategies as st

from pixprompt.core import BudgetError, ConfigError, LimitError
from pixprompt.ledger.budget import Budget


def test_reserve_spends_until_nothing_is_left() -> None:
    budget = Budget(10, spent=3)
    assert (budget.total, budget.spent, budget.remaining) == (10, 3, 7)
    budget.reserve(7)
    assert (budget.spent, budget.remaining) == (10, 0)
    budget.reserve(0)
    with pytest.raises(BudgetError, match="1 more queries were wanted, but 0 of 10 are left; nothing was asked"):
        budget.reserve(1)


def test_what_does_not_fit_reserves_nothing() -> None:
    budget = Budget(10)
    for refuse in (budget.reserve, budget.require):
        with pytest.raises(BudgetError, match="11 more queries were wanted, but 10 of 10 are left"):
            refuse(11)
    assert budget.remaining == 10
    budget.require(10)
    assert budget.remaining == 10


def test_without_a_total_everything_fits_and_is_counted() -> None:
    budget = Budget(None)
    budget.reserve(10**9)
    assert (budget.total, budget.spent, budget.remaining) == (None, 10**9, None)


def test_what_was_spent_already_is_counted_even_beyond_the_total() -> None:
    budget = Budget(5)
    budget.charge(8)
    assert (budget.spent, budget.remaining) == (8, 0)
    with pytest.raises(BudgetError):
        budget.reserve(1)


def test_negative_numbers_are_refused() -> None:
    for wrong in (
        lambda: Budget(-1),
        lambda: Budget(1, -1),
        lambda: Budget(1).reserve(-1),
        lambda: Budget(1).charge(-1),
    ):
        with pytest.raises(ConfigError, match="at least 0"):
            wrong()


@given(st.integers(0, 50), st.lists(st.integers(0, 20)))
def test_never_more_than_the_total(total: int, expected: list[int]) -> None:
    budget, granted = Budget(total), 0
    for num in expected:
        try:
            budget.reserve(num)
        except BudgetError:
            assert granted + num > total
        else:
            granted += num
        assert granted == budget.spent <= total
        assert budget.remaining == total - granted


def test_requests_have_a_limit_of_their_own() -> None:
    budget = Budget(10, max_requests=2)
    budget.reserve(3, 1)
    with pytest.raises(LimitError, match="2 more requests were wanted, but 1 of 2 are left"):
        budget.require(2, 2)
    with pytest.raises(LimitError, match="--max-requests"):
        budget.reserve(1, 2)
    assert (budget.spent, budget.requests) == (3, 1)
    budget.charge(1, 1)
    assert (budget.spent, budget.requests) == (4, 2)
    budget.reserve(2)  # asked without a request: of a local model
    with pytest.raises(ConfigError, match="at least 0 requests"):
        Budget(1, max_requests=-1)


def test_what_was_not_billed_is_released_and_its_request_is_not() -> None:
    budget = Budget(4, max_requests=2)
    budget.reserve(4, 1)
    budget.release(4)
    assert (budget.remaining, budget.requests) == (4, 1)


def test_threads_never_spend_more_than_the_total() -> None:
    def spend(_: int) -> int:
        try:
            budget.reserve(3, 1)
        except (BudgetError, LimitError):
            return 0
        return 3

    budget = Budget(400, max_requests=90)
    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(spend, range(500)))
    assert granted == budget.spent == 270
