"""Forward selection takes what adds, and its cross-fitted accuracy is not flattered by it."""

import torch

from pixprompt.search import cross_fit, forward_selection
from pixprompt.search.readout import kernels_of

from .toy import answers_of, balanced


def test_a_copy_of_the_best_view_joins_after_one_that_adds() -> None:
    labels = balanced(120, 4)
    best, other = answers_of(labels, [1.2, 1.0], seed=0)
    kernels = kernels_of([best, best + 1e-6, other])
    path = forward_selection(kernels, labels, 4, most=3)
    assert path.views[0] in (0, 1)
    assert path.views[1] == 2


def test_useless_views_come_last() -> None:
    labels = balanced(120, 4)
    kernels = kernels_of(answers_of(labels, [0.0, 1.0, 0.0, 1.0], seed=1))
    assert set(forward_selection(kernels, labels, 4, most=4).views[:2]) == {1, 3}


def test_cross_fitting_sees_through_a_selection_among_noise() -> None:
    """The best of 30 useless views looks useful to the one who chose it; without its images it is not."""
    flattering, honest = [], []
    for seed in range(6):
        labels = balanced(40, 2)
        kernels = kernels_of(answers_of(labels, [0.0] * 30, seed=seed))
        path = forward_selection(kernels, labels, 2, most=1)
        flattering.append(path.readouts[0].accuracy)
        outputs = cross_fit(kernels, labels, 2, torch.arange(40) // 2 % 5, most=1)
        honest.append(float((outputs[0].argmax(1) == labels).double().mean()))
    assert sum(flattering) / 6 > 0.65
    assert sum(honest) / 6 < 0.6


def test_cross_fitting_never_uses_the_label_of_the_image_it_predicts() -> None:
    labels, folds = balanced(40, 2), torch.arange(40) // 2 % 5
    kernels = kernels_of(answers_of(labels, [0.5, 0.5, 0.0], seed=0))
    before = cross_fit(kernels, labels, 2, folds, most=2)
    changed = labels.clone()
    changed[folds == 3] = 1 - changed[folds == 3]
    after = cross_fit(kernels, changed, 2, folds, most=2)
    assert torch.equal(before[:, folds == 3], after[:, folds == 3])
    assert not torch.equal(before[:, folds != 3], after[:, folds != 3])
