from __future__ import annotations

import hashlib

import numpy as np

from pixprompt.data import load_data, load_images


def test_golden_facts() -> None:
    """Counts: the data set's own description. Digest: sha256 of the first image, RGB rows, as rint(v * 255 / 16)."""
    images = load_images("digits")
    assert np.bincount(images.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.names[7] == "digits/0007"
    first = np.asarray(images.open(0))
    assert hashlib.sha256(first.tobytes()).hexdigest() == (
        "904de1faa76da67144c8b18f9bb73342b9e7305a4508a2dce33324554851c1d0"
    )
    # A zero: dark in the corners and in the middle, bright between.
    assert (first.shape, first[0, 0].tolist(), first[3, 4].tolist(), first[1, 3].tolist()) == (
        (8, 8, 3), [0, 0, 0], [0, 0, 0], [239, 239, 239],
    )  # fmt: skip


def test_the_whole_range_is_used() -> None:
    images = load_images("digits")
    values = np.stack([np.asarray(images.open(index)) for index in range(200)])
    assert (values.min(), values.max()) == (0, 255)
    assert len(np.unique(values)) == 17


def test_splits() -> None:
    data = load_data("digits", seed=0)
    assert data.classes == ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert len(data.train) + len(data.val) + len(data.test) == 1797
    assert len(data.test) == 359
    everything = load_images("digits")
    number = int(data.train.names[5].rsplit("/", 1)[1])
    assert data.train.labels[5] == everything.labels[number]
    np.testing.assert_array_equal(np.asarray(data.train.open(5)), np.asarray(everything.open(number)))
