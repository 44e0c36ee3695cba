"""Coverage: counted by hand on a line, against torch-fidelity, block by block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pixprompt.diagnostics.neighbors as module
from pixprompt.core import DataError, ShapeError
from pixprompt.diagnostics.neighbors import coverage, radii

from .toy import gaussian


def line(*places: float) -> np.ndarray:
    return np.array(places)[:, None]


def test_counted_by_hand() -> None:
    # Nearest neighbors of 0, 1, 3, 10 are 1, 1, 2 and 7 away.
    reference, labels = line(0, 1, 3, 10), np.array([0, 0, 1, 2])
    np.testing.assert_allclose(np.sqrt(radii(reference, 1)), [1, 1, 2, 7])
    report = coverage(line(0.2, -0.4, 2.6), reference, labels, neighbors=1)
    assert report == {
        "classes": 2 / 3,  # 0.2 and -0.4 reach class 0, 2.6 class 1
        "num_classes": 3,
        "images": 2 / 4,
        "within": 1.0,
        "covered": 3 / 4,  # nothing is within 7 of 10... 3 is, but not 2.6
        "neighbors": 1,
    }
    assert coverage(line(100.0), reference, labels, neighbors=1)["within"] == 0


@pytest.mark.parametrize("labels", [None, np.array([-1, -1, -1, -1])])
def test_without_labels_there_are_no_classes(labels: np.ndarray | None) -> None:
    report = coverage(line(0.2, 9.0), line(0, 1, 3, 10), labels, neighbors=1)
    assert report["classes"] is None
    assert report["num_classes"] is None
    assert report["images"] == 2 / 4


def test_within_is_the_precision_of_torch_fidelity() -> None:
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity is a peer of the tests")
    data, reference = gaussian(70, seed=1, shift=0.5), gaussian(60, seed=2)
    options = {"prc_neighborhood": 3, "prc_batch_size": 1000, "save_cpu_ram": False, "verbose": False}
    theirs = metric_prc.prc_features_to_metric(torch.from_numpy(data), torch.from_numpy(reference), **options)
    ours = coverage(data, reference, None, neighbors=3)
    assert ours["within"] == pytest.approx(theirs["precision"])
    assert 0 < ours["within"] < 1
    assert coverage(data, reference, None, neighbors=1)["within"] < ours["within"]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data, reference, labels = gaussian(40, seed=1), gaussian(30, seed=2), np.arange(30) // 3
    whole = coverage(data, reference, labels)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert coverage(data, reference, labels) == whole
    assert coverage(data[::-1], reference, labels) == whole


def test_a_set_covers_itself() -> None:
    features, labels = gaussian(30, seed=2), np.arange(30) // 3
    report = coverage(features, features, labels)
    assert (report["classes"], report["images"], report["within"], report["covered"]) == (1, 1, 1, 1)


def test_refusals() -> None:
    with pytest.raises(DataError, match="more than 5 reference images, got 5"):
        coverage(gaussian(9), gaussian(5), None)
    with pytest.raises(ShapeError, match="12 and of 13"):
        coverage(gaussian(9), gaussian(9, 13), None)
