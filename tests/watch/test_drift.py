"""The alarm of a watch: as rare as is said while nothing changes, however noisy the answers, and soon when it does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pixprompt.core import AnswerKind
from pixprompt.watch import alarm_level, compare
from pixprompt.watch.drift import to_shares

NUM, CLASSES, ROUNDS, WATCHES, ALPHA = 32, 5, 24, 1000, 0.05


def labels(rng: np.random.Generator, likely: np.ndarray, wrong: float) -> np.ndarray:
    """Bare labels, each of which is another one with a probability, (N, 1, S)."""
    other = rng.integers(0, CLASSES, len(likely))
    said = np.where(rng.random(len(likely)) < wrong, other, likely)
    return np.eye(CLASSES)[said][:, None]


def shares(rng: np.random.Generator, logits: np.ndarray, noise: float) -> np.ndarray:
    rows = logits + noise * rng.normal(size=logits.shape)
    return to_shares(rows.astype(np.float32), 1, AnswerKind.LOGITS)


def watch(first, second, rounds, *, levels) -> bool:
    """Whether a watch of these answers gives an alarm."""
    result = (compare(first, second, new, tolerance=1e-3).p_value for new in rounds)
    return any(p < level for p, level in zip(result, levels, strict=True))


def rate(kind: str, level) -> float:
    """The share of watches over an unchanged noisy model that give an alarm within 24 rounds."""
    rng, alarms = np.random.default_rng(0), 0
    levels = [level(number) for number in range(1, ROUNDS + 1)]
    for _ in range(WATCHES):
        if kind == "labels":
            likely = rng.integers(0, CLASSES, NUM)
            answers = [labels(rng, likely, 0.4) for _ in range(ROUNDS + 2)]
        else:
            logits = rng.normal(size=(NUM, CLASSES))
            answers = [shares(rng, logits, 0.3) for _ in range(ROUNDS + 2)]
        alarms += watch(answers[0], answers[1], answers[2:], levels=levels)
    return alarms / WATCHES


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_false_alarms_are_as_rare_as_is_said_and_without_sharing_the_level_they_are_not(kind: str) -> None:
    error = 3 * (ALPHA * (1 - ALPHA) / WATCHES) ** 0.5
    assert rate(kind, lambda number: alarm_level(ALPHA, number)) <= ALPHA + error
    assert rate(kind, lambda number: ALPHA) > ALPHA + error  # negative control: the same level in every round


def test_the_levels_of_all_rounds_add_up_to_that_of_the_watch() -> None:
    total = sum(alarm_level(ALPHA, number) for number in range(1, 100_000))
    assert ALPHA * (1 - 2e-5) < total <= ALPHA


def test_the_p_value_is_that_of_fair_coins() -> None:
    """By counting: of three images that differ, all are farther in one of the eight ways to toss three coins."""
    first = np.eye(2)[[0, 0, 0, 0]][:, None]
    far = np.eye(2)[[1, 1, 1, 0]][:, None]
    assert compare(first, first, far, tolerance=0).p_value == 1 / 8
    assert compare(first, far, first, tolerance=0).p_value == 1
    some = np.eye(2)[[1, 0, 0, 0]][:, None]
    ways = [sum(toss) for toss in itertools.product((0, 1), repeat=3)]
    other = np.eye(2)[[0, 1, 1, 0]][:, None]
    assert compare(first, some, other, tolerance=0).p_value == sum(heads >= 2 for heads in ways) / 8


def test_a_model_that_repeats_itself_gives_no_alarm_and_its_rounding_neither() -> None:
    rng = np.random.default_rng(0)
    first = shares(rng, rng.normal(size=(NUM, CLASSES)), 0)
    same = compare(first, first, first, tolerance=1e-3)
    assert (same.p_value, same.num_changed, same.distance, same.noise) == (1, 0, 0, 0)
    rounded = compare(first, first, first + 1e-5 * rng.random(first.shape), tolerance=1e-3)
    assert rounded.p_value == 1
    assert 0 < rounded.distance < 1e-3


def test_another_model_is_noticed_at_once_even_by_bare_labels() -> None:
    rng = np.random.default_rng(0)
    likely, others = rng.integers(0, CLASSES, NUM), rng.integers(0, CLASSES, NUM)
    comparison = compare(labels(rng, likely, 0.1), labels(rng, likely, 0.1), labels(rng, others, 0.1), tolerance=1e-3)
    assert comparison.p_value < alarm_level(0.01, ROUNDS)
    logits = rng.normal(size=(NUM, CLASSES))
    answers = [shares(rng, each, 0.01) for each in (logits, logits, logits + 0.3 * rng.normal(size=logits.shape))]
    assert compare(*answers, tolerance=1e-3).p_value < alarm_level(0.01, ROUNDS)


def test_images_without_an_answer_are_left_out() -> None:
    first = np.eye(3)[[0, 1, 2]][:, None]
    new = np.eye(3)[[1, 1, 2]][:, None]
    new[0] = np.nan
    comparison = compare(first, first, new, tolerance=0)
    assert (comparison.num_images, comparison.num_changed, comparison.p_value) == (2, 0, 1)
