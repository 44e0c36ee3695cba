"""Leave-one-out in closed form against leaving one out."""

import torch

from pixprompt.search import kernel_of, leave_one_out
from pixprompt.search.readout import kernels_of, predict, with_view

from .toy import answers_of, balanced


def test_leave_one_out_equals_fitting_without_each_image() -> None:
    labels = balanced(24, 3)
    (answers,) = answers_of(labels, [1.0], seed=0)
    kernel = kernel_of(answers)
    readout = leave_one_out(kernel, labels, 3, (0.1,))
    scale = kernel.diagonal().mean()
    for image in range(24):
        held, train = torch.tensor([image]), torch.arange(24) != image
        # The penalty is relative to the kernel at hand: the one of all images is asked for here.
        strength = 0.1 * float(scale / kernel[train][:, train].diagonal().mean())
        expected = predict(kernel, labels, 3, train=train, held_out=held, strength=strength)
        assert torch.allclose(readout.outputs[image], expected[0], atol=1e-8)


def test_a_committee_has_the_kernel_of_its_scores_side_by_side_and_of_their_sum() -> None:
    labels = balanced(30, 3)
    answers = [each.double() for each in answers_of(labels, [1.0, 0.5], seed=1)]
    kernel = kernel_of(torch.cat([*answers, answers[0] + answers[1]], dim=1).double())
    assert torch.allclose(2 * kernel_of(*answers), kernel)  # one view is its own sum, too
    pairs = kernels_of(answers)
    joined = with_view(with_view(torch.zeros(30, 30, dtype=torch.float64), pairs, (), 1), pairs, (1,), 0)
    assert torch.allclose(joined, kernel_of(*answers))


def test_strength_is_chosen_by_the_held_out_loss() -> None:
    labels = balanced(60, 3)
    (answers,) = answers_of(labels, [0.5], seed=2)
    kernel = kernel_of(answers)
    chosen = leave_one_out(kernel, labels, 3)
    assert all(chosen.loss <= leave_one_out(kernel, labels, 3, (each,)).loss for each in (0.001, 0.1, 3.0))


def test_shuffled_labels_are_not_read() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = balanced(300, 3)
    (answers,) = answers_of(labels, [2.0], seed=3)
    shuffled = labels[torch.randperm(300, generator=generator)]
    assert leave_one_out(kernel_of(answers), labels, 3).accuracy > 0.8
    assert leave_one_out(kernel_of(answers), shuffled, 3).accuracy < 0.45
