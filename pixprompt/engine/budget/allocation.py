"""What a budget of queries is spent on, decided before the first one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from ...core import ConfigError

__all__ = ["PURPOSES", "Allocation", "allocate", "allocate_views", "reserve_of"]

PURPOSES = {
    "head": "training images without a prompt, to fit the output transform",
    "val": "validation images without a prompt",
    "start": "training images under each start of the prompt, to choose one",
    "search": "training images under candidates",
    "selection": "validation images under candidates",
    "final_head": "training images under the chosen prompt, to fit the output transform again",
    "noise": "images queried once more, to see noise and drift",
    "test": "test images, once per rung",
    "student": "unlabelled images, whose answers the student learns from",
    "probe": "images queried when the model was built, to see what it takes and answers",
    "reserve": "for answers of a remote model that are lost on the way, and have to be queried again",
}
"""What `Allocation` names."""

_TEST_SHARE = 5
"""The test may take a fifth of the budget."""
_TEST_LEAST = 50
"""Images per rung; fewer say nothing (the 95% interval of 0.8 is wider than 0.2)."""
_VAL_FROM = 100
_VAL_SHARE = 5
_VAL_LEAST = 50
_VAL_MOST = 500
"""Validation images beyond a fifth of the labelled ones are queried up to this many: standard error 0.02."""
_PROMPT_LEAST = 500
_RIVAL_LEAST = 2000
"""Prompts learn nothing useful in fewer queries, so less is not taken from labelled images that are not queried yet."""
_ANYWAY_LEAST = 100
_ENOUGH = 1500
_ENOUGH_PER_CLASS = 50
_NOISE_MOST = 16
_NOISE_SHARE = 25
_RESERVE_SHARE = 20
_RESERVE_LEAST = 8
_START_MOST = 100
_START_LEAST = 30
"""Images per start; on fewer the accuracies of two starts do not differ beyond chance."""
_FIRST_PER_CLASS = 3
_USUAL_SIZE = 5
"""Views of a committee, as long as its size is open."""


@dataclass(frozen=True)
class Allocation:
    """Queries by purpose, as `PURPOSES` describes them; `allocate` makes it."""

    head: int = 0
    val: int = 0
    start: int = 0
    search: int = 0
    selection: int = 0
    final_head: int = 0
    noise: int = 0
    test: int = 0
    student: int = 0
    probe: int = 0
    reserve: int = 0

    @property
    def total(self) -> int:
        """All of it; never above the budget, and below it where nothing is left that pays."""
        parts = (self.head, self.val, self.noise, self.prompt, self.test, self.student, self.probe, self.reserve)
        return sum(parts)

    @property
    def prompt(self) -> int:
        """What the prompt gets: start, search, selection and final head; 0 where no prompt is learned."""
        return self.start + self.search + self.selection + self.final_head

    @property
    def rungs(self) -> int:
        """Rungs of the ladder that are tested with queries of their own: no prompt, and the prompt if there is one."""
        return 2 if self.prompt else 1

    @property
    def test_images(self) -> int:
        """Test images per rung."""
        return self.test // self.rungs

    def to_json(self) -> dict[str, Any]:
        """Returns {purpose: queries, ..., "total": queries}."""
        return {**{item.name: getattr(self, item.name) for item in fields(self)}, "total": self.total}


def reserve_of(budget: int) -> int:
    """Returns how many queries to a remote model are set aside for what is lost on the way.

    A twentieth, at least 8, never more than a quarter. A run that was interrupted, or met failures, then has as much
    left for everything else as one that did not, and ends with the same prompt.
    """
    return min(max(_RESERVE_LEAST, -(-budget // _RESERVE_SHARE)), budget // 4)


def allocate(
    budget: int,
    *,
    num_train: int,
    num_val: int,
    num_test: int,
    has_prompt: bool,
    num_classes: int = 0,
    num_starts: int = 4,
    test_images: int | None = None,
    search_anyway: bool = False,
) -> Allocation:
    """Divides a budget, the output transform first.

    A head on 25 to 200 labelled answers without any prompt is worth more than a prompt after tens of thousands of
    queries, and nothing useful happens in a search before about 2,000. Hence, in this order:

    1. The budget is a hard cap on everything that is queried, the test included.
    2. The test gets at most a fifth of the budget, if that makes 50 images per rung, or the whole test split where it
       is smaller; with `test_images` exactly that many per rung. Without a prompt there is one rung to test.
    3. From 100 queries on a few training images are queried twice (4%, at most 16) to measure noise, and once more
       after a prompt search to see drift.
    4. Training images are answered without a prompt. From 100 labelled images on, a fifth are validation images;
       below, the head's cross-validation chooses. When the training images are used up, validation gets more, up to
       500 images in all.
    5. The prompt gets what is left when all labelled images are answered, if that is 500 or more. With many labelled
       images they are enough when 1,500 are answered (50 per class, if that is more) and two fifths of the queries are
       spent on them: the prompt gets the rest, if that is 2,000 or more. Without validation images no prompt is
       learned: nothing could choose it.
    6. Of the prompt's share, up to a fifth chooses its start (none below 30 images per start), a quarter validates
       candidates, at least twice, the search gets a quarter, and up to a quarter fits the output transform again under
       the chosen prompt; what is left goes to the search. Validation images are then no more than a tenth of the
       budget (50 at least).

    So at small budgets everything goes into the output transform, and with few labelled images part of the budget may
    be left over. `Allocation.total` never exceeds the budget and, like `prompt`, never falls as it grows; nor does
    `test`, but for one image when the second rung comes.

    Args:
        budget: Queries, at least 0; an unlimited budget needs no allocation.
        num_train: Labelled training images.
        has_prompt: Whether a prompt may be learned at all.
        num_classes: Target classes, if known.
        num_starts: Starts that have to be queried.
        test_images: Test images per rung; None leaves it to rule 2.
        search_anyway: Whether the prompt gets half of what the test leaves where the rules above leave it less.

    Raises:
        ConfigError: A number is negative, or `test_images` alone costs more than the budget.
    """
    sizes = (budget, num_train, num_val, num_test, num_classes, num_starts, test_images or 0)
    if min(sizes) < 0:
        raise ConfigError(f"budget and numbers of images must be at least 0, got {min(sizes)}.")
    if test_images is not None and min(test_images, num_test) > budget:
        raise ConfigError(f"{test_images} test images do not fit into a budget of {budget} queries. Test fewer.")
    val_pool = min(num_val, max(_VAL_MOST, num_train // (_VAL_SHARE - 1)))
    if has_prompt and num_train and val_pool:
        val_pool = min(val_pool, max(_VAL_LEAST, budget // 10))  # candidates are validated on them again and again
        enough = max(_ENOUGH, _ENOUGH_PER_CLASS * num_classes)
        test = _queries_for_test(budget, num_test, test_images, rungs=2)
        noise = 2 * _noise(budget - test, num_train)
        prompt = _prompt(budget - test - noise, num_train + val_pool, enough)
        if search_anyway and budget >= _ANYWAY_LEAST:
            prompt = max(prompt, (budget - test - noise) // 2)
            val_pool = min(val_pool, prompt // 4)
        if prompt >= max(1, 4 * val_pool):  # or validation would eat what the search needs
            head, val = _labeled(budget - test - noise - prompt, num_train, val_pool, 1 if search_anyway else _VAL_FROM)
            return _with_prompt(Allocation(head, val, noise=noise, test=test - test % 2), prompt, num_starts)
    val_pool = min(num_val, max(_VAL_MOST, num_train // (_VAL_SHARE - 1)))
    test = _queries_for_test(budget, num_test, test_images, rungs=1)
    noise = _noise(budget - test, num_train)
    head, val = _labeled(budget - test - noise, num_train, val_pool)
    return Allocation(head, val, noise=noise if noise <= head else 0, test=test)


def _queries_for_test(budget: int, num_test: int, test_images: int | None, *, rungs: int) -> int:
    """Returns what the test takes: see rule 2 of `allocate`."""
    if test_images is not None:
        return rungs * min(test_images, num_test)
    share = min(rungs * num_test, budget // _TEST_SHARE)
    return share if share // rungs >= min(_TEST_LEAST, num_test) else 0


def _noise(remaining: int, num_train: int) -> int:
    images = 0 if remaining < _VAL_FROM else min(_NOISE_MOST, remaining // _NOISE_SHARE, num_train)
    return images if images > 1 else 0  # of one image there is nothing to compare with


def _labeled(remaining: int, num_train: int, val_pool: int, val_from: int = _VAL_FROM) -> tuple[int, int]:
    """Returns head and val: what of the labelled images is answered without a prompt."""
    labeled = min(remaining, num_train + val_pool)
    share = labeled // _VAL_SHARE if labeled >= val_from else 0
    val = min(val_pool, max(share, labeled - num_train))
    return labeled - val, val


def _prompt(remaining: int, num_labeled: int, enough: int) -> int:
    after_labels = remaining - num_labeled
    if after_labels < _PROMPT_LEAST:
        after_labels = 0
    rival = remaining - max(enough, 2 * remaining // 5)
    return max(after_labels, rival if rival >= _RIVAL_LEAST else 0)


def _with_prompt(plain: Allocation, prompt: int, num_starts: int) -> Allocation:
    per_start = min(plain.head, _START_MOST, prompt // 5 // max(num_starts, 1))
    start = num_starts * per_start if per_start >= min(_START_LEAST, plain.head) else 0
    selection = max(prompt // 4, 2 * plain.val)
    remaining = prompt - start - selection
    final_head = min(plain.head, prompt // 4, remaining - prompt // 4)
    return replace(plain, start=start, search=remaining - final_head, selection=selection, final_head=final_head)


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
        size: Views of the committee; None while it is open.
        test_images: Test images per rung; None leaves it to the rule above.
        opens: (queries, images) -> whether they are enough for a race.

    Raises:
        ConfigError: `test_images` alone cost more than half of the budget.
    """
    rungs = 1 + (size or _USUAL_SIZE)
    test = _queries_for_test(budget, num_test, test_images, rungs=rungs)
    if test_images is not None and test > max(budget // 2, min(test_images, num_test)):
        raise ConfigError(
            f"{test_images} test images take {test} queries, without a prompt and under {rungs - 1} views each, of a "
            f"budget of {budget}. Test fewer, or say fewer --views."
        )
    noise = min(_NOISE_MOST, (budget - test) // _NOISE_SHARE, num_train)
    noise = 2 * noise if noise > 1 else 0
    remaining = max(0, budget - test - noise)
    first = min(num_train, _FIRST_PER_CLASS * max(1, num_classes), remaining)
    if not opens(remaining - first, num_train):
        return Allocation(head=min(num_train, remaining), noise=noise // 2, test=min(test, num_test))
    return Allocation(head=first, search=remaining - first, noise=noise, test=test)
