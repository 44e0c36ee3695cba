from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from pixprompt.core import ConfigError, DataError
from pixprompt.data.image_set import Collection, Data, ImageSet, from_arrays
from pixprompt.data.splits import draw_shots, hold_out, listed, split

quick = settings(deadline=None, max_examples=60, derandomize=True)
counts_of_classes = st.lists(st.integers(3, 40), min_size=2, max_size=6)
seeds = st.integers(0, 2**63)


def images_of(counts: list[int], prefix: str = "x") -> ImageSet:
    labels = np.repeat(np.arange(len(counts)), counts)
    return from_arrays(np.zeros((len(labels), 1, 1), np.uint8), labels, prefix=prefix)


def collection(**parts: list[int]) -> Collection:
    num_classes = max(map(len, parts.values()))
    classes = tuple("abcdefgh"[:num_classes])
    return Collection(classes, {part: images_of(counts, part) for part, counts in parts.items()})


def splits_of(data: Data) -> tuple[ImageSet, ImageSet, ImageSet]:
    return data.train, data.val, data.test


@quick
@given(counts_of_classes, seeds)
def test_splits_are_disjoint_complete_and_stratified(counts: list[int], seed: int) -> None:
    data = split(collection(train=counts), name="x", seed=seed)
    names = [set(images.names) for images in splits_of(data)]
    assert sum(map(len, names)) == len(set.union(*names)) == sum(counts)
    for label, count in enumerate(counts):
        train, val, test = (int((images.labels == label).sum()) for images in splits_of(data))
        assert min(train, val, test) >= 1
        assert abs(test - 0.2 * count) <= 1
        assert abs(val - 0.2 * (count - test)) <= 1


@quick
@given(counts_of_classes, seeds, seeds)
def test_splits_follow_the_seed_and_no_global_state(counts: list[int], seed: int, other: int) -> None:
    np.random.seed(other % 2**32)  # noqa: NPY002  (the global state must not matter)
    before = split(collection(train=counts), name="x", seed=seed, shots=2)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed((other + 1) % 2**32)  # noqa: NPY002
    after = split(collection(train=counts), name="x", seed=seed, shots=2)
    assert [s.names for s in splits_of(before)] == [s.names for s in splits_of(after)]
    np.random.seed(other % 2**32)  # noqa: NPY002
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_another_seed_draws_other_images() -> None:
    drawn = {split(collection(train=[50, 50]), name="x", seed=seed).test.names for seed in range(20)}
    assert len(drawn) == 20


def test_val_and_test_are_drawn_independently() -> None:
    labels = np.zeros(200, dtype=np.int64)
    val, test = (set(hold_out(labels, seed=0, purpose=purpose)[1].tolist()) for purpose in ("val", "test"))
    assert len(val) == len(test) == 40
    assert val != test


def test_classes_of_one_size_draw_different_places() -> None:
    chosen = hold_out(np.array([0] * 100 + [1] * 100), seed=0, purpose="val")[1]
    assert set(chosen[:20].tolist()) != set((chosen[20:] - 100).tolist())


def test_one_class_does_not_change_the_split_of_another() -> None:
    small = hold_out(np.array([0] * 30 + [1] * 10), seed=5, purpose="val")[1]
    large = hold_out(np.array([0] * 30 + [1] * 25), seed=5, purpose="val")[1]
    assert small[small < 30].tolist() == large[large < 30].tolist()


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 20), seeds)
def test_shots_are_per_class_and_nested(counts: list[int], shots: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = draw_shots(labels, shots, seed=seed, purpose="train shots")
    assert np.bincount(labels[chosen], minlength=len(counts)).tolist() == [min(shots, count) for count in counts]
    assert set(chosen) <= set(draw_shots(labels, shots + 1, seed=seed, purpose="train shots"))
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_shots_limit_train_and_val_and_leave_test() -> None:
    given_splits = collection(train=[50, 40], test=[9, 11])
    data, full = split(given_splits, name="x", seed=3, shots=4), split(given_splits, name="x", seed=3)
    assert np.bincount(data.train.labels).tolist() == [4, 4]
    assert np.bincount(data.val.labels).tolist() == [4, 4]
    assert data.test.names == given_splits.parts["test"].names
    assert set(data.train.names) <= set(full.train.names)
    assert set(data.val.names) <= set(full.val.names)


def test_given_splits_are_left_alone() -> None:
    images = collection(train=[5, 5], val=[2, 1], test=[3, 4])
    data = split(images, name="x", seed=0)
    assert [s.names for s in splits_of(data)] == [images.parts[part].names for part in ("train", "val", "test")]


def test_val_is_held_out_of_train_when_only_test_is_given() -> None:
    images = collection(train=[10, 20], test=[3, 3])
    data = split(images, name="x", seed=0)
    assert np.bincount(data.train.labels).tolist() == [8, 16]
    assert set(data.train.names) | set(data.val.names) == set(images.parts["train"].names)
    assert data.test.names == images.parts["test"].names


def test_test_is_held_out_when_only_val_is_given() -> None:
    data = split(collection(train=[10, 20], val=[3, 3]), name="x", seed=0)
    assert np.bincount(data.test.labels).tolist() == [2, 4]
    assert len(data.val) == 6


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_too_small_for_three_splits_is_named(count: int) -> None:
    with pytest.raises(DataError, match=rf"'b \({count}\)'.*at least 3"):
        split(collection(train=[9, count, 9]), name="x", seed=0)


def test_a_single_image_stays_in_train_when_test_is_given(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = split(collection(train=[9, 1], test=[2, 2]), name="x", seed=0)
    assert int((data.train.labels == 1).sum()) == 1
    assert "'b'" in caplog.text
    assert "val has none" in caplog.text


def test_single_images_everywhere_leave_nothing_to_validate_on() -> None:
    with pytest.raises(DataError, match="hold a val split out"):
        split(collection(train=[1, 1], test=[2, 2]), name="x", seed=0)


def test_a_class_without_test_images_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        split(collection(train=[9, 9], test=[2, 0]), name="x", seed=0)
    assert "test has no image of 'b'" in caplog.text


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_without_training_images_is_an_error(part: str) -> None:
    with pytest.raises(DataError, match=f"{part} has classes that train lacks: 'b'"):
        split(collection(train=[9, 0, 9], **{part: [2, 2, 2]}), name="x", seed=0)


@pytest.mark.parametrize("parts", [{"train": [9, 0]}, {"train": [9, 0], "test": [2, 0]}])
def test_an_empty_class_is_named(parts: dict[str, list[int]]) -> None:
    with pytest.raises(DataError, match="without a single image: 'b'"):
        split(collection(**parts), name="x", seed=0)


def test_an_empty_given_split_is_an_error() -> None:
    with pytest.raises(DataError, match="the test split has no images"):
        split(collection(train=[9, 9], test=[0, 0]), name="x", seed=0)


def test_a_lone_test_split_is_an_error() -> None:
    with pytest.raises(DataError, match="no train split, only 'test'"):
        split(collection(test=[9, 9]), name="x", seed=0)


def test_one_class_is_no_classification() -> None:
    with pytest.raises(DataError, match="at least two classes, found 1: 'a'"):
        split(collection(train=[9]), name="x", seed=0)


@pytest.mark.parametrize(
    ("one", "two"), [("cat", "Cat"), ("sea_lion", "sea-lion"), ("sea_lion", "Sea  Lion"), ("caf\u00e9", "cafe\u0301")]
)
def test_classes_that_read_the_same_are_both_named(one: str, two: str) -> None:
    dataset = Collection((one, "other", two), {"train": images_of([3, 3, 3])})
    with pytest.raises(DataError) as error:
        split(dataset, name="x", seed=0)
    assert repr(one) in str(error.value)
    assert repr(two) in str(error.value)


def test_too_few_shots_are_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = split(collection(train=[40, 5], test=[2, 2]), name="x", seed=0, shots=16)
    assert np.bincount(data.train.labels).tolist() == [16, 4]
    assert "'b (4)'" in caplog.text


@pytest.mark.parametrize(("seed", "shots", "message"), [(-1, None, "seed"), (0, 0, "shots"), (0, -3, "shots")])
def test_senseless_numbers_are_refused(seed: int, shots: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split(collection(train=[9, 9]), name="x", seed=seed, shots=shots)


def test_long_lists_are_shortened() -> None:
    assert listed("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"


def test_a_fraction_of_each_class_trains_and_fractions_are_nested() -> None:
    images = collection(train=[50, 20, 3], val=[4, 4, 4], test=[5, 5, 5])
    whole = split(images, name="x", seed=2)
    parts = [split(images, name="x", seed=2, fraction=fraction).train for fraction in (0.1, 0.5, 1.0)]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[5, 2, 1], [25, 10, 2], [50, 20, 3]]
    assert {*parts[0].names} < {*parts[1].names} < {*parts[2].names} == {*whole.train.names}
    data = split(images, name="x", seed=2, fraction=0.1)
    assert (len(data.val), len(data.test)) == (12, 15)
    assert "train: 10% of each class, drawn by seed 2" in data.notes


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_senseless_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"fraction must be in \(0, 1\]"):
        split(collection(train=[9, 9]), name="x", seed=0, fraction=fraction)


def test_shots_and_a_fraction_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        split(collection(train=[9, 9]), name="x", seed=0, fraction=0.5, shots=3)


def test_val_can_be_the_test_split() -> None:
    images = collection(train=[10, 10], val=[3, 4])
    data = split(images, name="x", seed=0, chosen="test=val")
    assert data.test.names == images.parts["val"].names
    assert np.bincount(data.val.labels).tolist() == [2, 2]
    assert not {*data.val.names} & {*data.test.names}
    assert data.notes[0] == "test: val (--split)"


def test_a_val_without_test_says_what_it_is_taken_for() -> None:
    data = split(collection(train=[10, 10], val=[3, 4]), name="x", seed=0)
    assert "val: as given, for selection; there is no test split" in data.notes[0]
    assert "test: 20% of each class of train, drawn by seed 0" in data.notes[1]
    assert split(collection(train=[9, 9], val=[3, 4], test=[2, 2]), name="x", seed=0).notes == ()


def test_other_parts_can_be_chosen() -> None:
    images = collection(train=[10, 10], val=[3, 4], test=[5, 5], id_test=[6, 7])
    data = split(images, name="x", seed=0, chosen="test=id_test, val = val")
    assert data.test.names == images.parts["id_test"].names
    assert data.val.names == images.parts["val"].names


@pytest.mark.parametrize("text", ["val", "val=", "=val", "valid=val", "val=val,val=test", "val=test,test=test"])
def test_a_choice_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--split"):
        split(collection(train=[9, 9], val=[3, 3], test=[3, 3]), name="x", seed=0, chosen=text)


def test_a_part_that_does_not_exist_is_named() -> None:
    with pytest.raises(DataError, match="there is no 'dev', only 'train', 'val'"):
        split(collection(train=[9, 9], val=[3, 3]), name="x", seed=0, chosen="test=dev")


def test_an_official_split_may_lack_training_images_of_a_class(caplog: pytest.LogCaptureFixture) -> None:
    result = replace(collection(train=[9, 0, 9], val=[2, 2, 2], test=[2, 2, 2]), official=True)
    with caplog.at_level(logging.WARNING):
        data = split(result, name="x", seed=0)
    assert len(data.train) == 18
    assert "its train split has no image of 'b'" in caplog.text
