"""Scores from a confusion matrix against plain loops over the pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pixprompt.segmentation import IGNORED, Confusion

from .toy import generator


def maps(num_classes: int = 4, ignored: bool = True) -> tuple[Tensor, Tensor]:
    truth = torch.randint(0, num_classes, (3, 9, 7), generator=generator(0), dtype=torch.uint8)
    guesses = torch.randint(0, num_classes, (3, 9, 7), generator=generator(1), dtype=torch.uint8)
    if ignored:
        truth[0, :4] = IGNORED
    return truth, guesses


def looped(truth: Tensor, guesses: Tensor, num_classes: int) -> tuple[list[float | None], float, float]:
    pairs = [(t, g) for t, g in zip(truth.flatten().tolist(), guesses.flatten().tolist(), strict=True) if t != IGNORED]
    ious, results = [], []
    for label in range(num_classes):
        both = sum(t == label and g == label for t, g in pairs)
        either = sum(t == label or g == label for t, g in pairs)
        there = sum(t == label for t, _ in pairs)
        ious.append(both / either if either else None)
        results += [both / there] if there else []
    return ious, sum(t == g for t, g in pairs) / len(pairs), sum(results) / len(results)


def counted(truth: Tensor, guesses: Tensor, num_classes: int) -> Confusion:
    confusion = Confusion.empty(num_classes)
    for one, other in zip(truth, guesses, strict=True):
        confusion.add(one, other)
    return confusion


@pytest.mark.parametrize("num_classes", [4, 6])
def test_scores_are_those_of_a_plain_loop(num_classes: int) -> None:
    """With six classes two occur nowhere: they are left out of the mean."""
    truth, guesses = maps()
    scores = counted(truth, guesses, num_classes).to_json()
    ious, pixels, classes = looped(truth, guesses, num_classes)
    assert scores["iou"] == pytest.approx(ious)
    assert scores["miou"] == pytest.approx(sum(iou for iou in ious if iou is not None) / 4)
    assert scores["pixel_accuracy"] == pytest.approx(pixels)
    assert scores["mean_accuracy"] == pytest.approx(classes)


def test_a_matrix_the_wrong_way_round_would_be_seen() -> None:
    truth, guesses = maps()
    guesses[guesses == 3] = 0
    right, wrong = counted(truth, guesses, 4), Confusion(counted(truth, guesses, 4).counts.T)
    expected = looped(truth, guesses, 4)[2]
    assert right.mean_accuracy == pytest.approx(expected)
    assert abs(wrong.mean_accuracy - expected) > 0.01
    assert counted(truth, guesses, 4).counts[3, 0] > 0  # row: the true class
    assert counted(truth, guesses, 4).counts[:, 3].sum() == 0


def test_ignored_pixels_do_not_count_and_would_matter() -> None:
    truth, guesses = maps()
    assert int(counted(truth, guesses, 4).counts.sum()) == int((truth != IGNORED).sum())
    other = guesses.clone()
    other[truth == IGNORED] = 3
    assert torch.equal(counted(truth, guesses, 4).counts, counted(truth, other, 4).counts)
    assert counted(*maps(ignored=False), 4).miou != counted(truth, guesses, 4).miou


def test_a_class_that_is_only_guessed_counts_as_0_and_one_that_is_nowhere_does_not() -> None:
    truth, guesses = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 0, 1, 2]])
    scores = counted(truth, guesses, 4).to_json()
    assert scores["iou"] == [1.0, 0.5, 0.0, None]
    assert scores["miou"] == pytest.approx(0.5)
    assert scores["mean_accuracy"] == pytest.approx(0.75)


def test_no_pixel_tells_nothing() -> None:
    empty = Confusion.empty(2)
    assert math.isnan(empty.miou)
    assert empty.to_json() == {"miou": None, "pixel_accuracy": None, "mean_accuracy": None, "iou": [None, None]}
