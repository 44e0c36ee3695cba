"""What a budget of queries is spent on where views are raced."""

from __future__ import annotations

from collections.abc import Callable

from ...core import ConfigError
from .allocation import NOISE_MOST, NOISE_SHARE, Allocation, queries_for_test

__all__ = ["allocate_views"]

_FIRST_PER_CLASS = 3
_USUAL_SIZE = 5
"""Views of a committee, as long as its size is open."""


def allocate_views(
    budget: int,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    size: int | None,
    test_images: int | None,
    opens: Callable[[int, int], bool],
) -> Allocation:
    """Divides a budget, the output transform on plain answers first.

    The test gets a fifth of the budget where that pays for 50 images, or the whole split, without a prompt and under
    every view of a committee of the usual size. A few images are queried twice (at most 16) to see noise and drift. The
    first labelled images are queried without a prompt; the race spends the rest, where it is enough for one.

    Args:
        budget: Queries, at least 0.
        num_train: Labelled images.
        num_test: Test images.
        num_classes: Target classes.
        size: Views of the committee; None while it is open.
        test_images: Test images per rung; None leaves it to the rule above.
        opens: (queries, images) -> whether they are enough for a race.

    Raises:
        ConfigError: `test_images` alone cost more than half of the budget.
    """
    rungs = 1 + (size or _USUAL_SIZE)
    test = queries_for_test(budget, num_test, test_images, rungs=rungs)
    if test_images is not None and test > max(budget // 2, min(test_images, num_test)):
        raise ConfigError(
            f"{test_images} test images take {test} queries, without a prompt and under {rungs - 1} views each, of a "
            f"budget of {budget}. Test fewer, or say fewer --views."
        )
    noise = min(NOISE_MOST, (budget - test) // NOISE_SHARE, num_train)
    noise = 2 * noise if noise > 1 else 0
    remaining = max(0, budget - test - noise)
    first = min(num_train, _FIRST_PER_CLASS * max(1, num_classes), remaining)
    if not opens(remaining - first, num_train):
        return Allocation(head=min(num_train, remaining), noise=noise // 2, test=min(test, num_test))
    return Allocation(head=first, search=remaining - first, noise=noise, test=test)
