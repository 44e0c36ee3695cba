"""The linear head against scikit-learn, and where regressions usually break."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs import make_output
from pixprompt.outputs.linear import head
from pixprompt.outputs.linear.folds import fifths, one_fifth
from pixprompt.outputs.linear.head import STRENGTHS, logistic_regression


def blobs(count: int, width: int, num_classes: int, seed: int = 0, spread: float = 1.5) -> tuple[Tensor, Tensor]:
    """Gaussian classes on correlated columns of different scales."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.Generator().manual_seed(99)
    centers = torch.randn(num_classes, width, generator=shared)
    mixing = torch.eye(width) + 0.3 * torch.randn(width, width, generator=shared) / width**0.5
    scales = torch.logspace(-0.5, 0.5, width) * 10
    labels = torch.randint(num_classes, (count,), generator=generator)
    noise = torch.randn(count, width, generator=generator) * spread
    return (centers[labels] + noise) @ mixing * scales + 3, labels


@pytest.mark.parametrize("strength", [1.0, 0.01, 0.001])
def test_same_solution_as_scikit_learn(strength: float) -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    features, labels = blobs(150, 12, 4)
    features = ((features - features.mean(0)) / features.std(0)).double()
    weight, bias = logistic_regression(features, labels, 4, strength=strength, tolerance=1e-9)
    oracle = sklearn.LogisticRegression(C=1 / (strength * len(labels)), tol=1e-10, max_iter=5000)
    oracle.fit(features.numpy(), labels.numpy())
    torch.testing.assert_close(weight, torch.tensor(oracle.coef_.T), rtol=1e-3, atol=1e-4)
    centered = bias - bias.mean()
    expected = torch.tensor(oracle.intercept_)
    torch.testing.assert_close(centered, expected - expected.mean(), rtol=1e-3, atol=1e-4)
    stronger, _ = logistic_regression(features, labels, 4, strength=2 * strength)
    assert not torch.allclose(stronger, torch.tensor(oracle.coef_.T), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("count", "width"), [(120, 15), (30, 60)])
def test_the_head_is_scikit_learn_on_outputs_of_a_common_scale(count: int, width: int) -> None:
    """Whatever the shape: rotated, scaled and folded into one matrix, it is still the plain regression."""
    sklearn = pytest.importorskip("sklearn.linear_model")
    outputs, labels = blobs(count, width, 3)
    spec = ModelSpec("toy", (8, 8), width)
    fitted = make_output("linear", classes=("a", "b", "c"), spec=spec).refit(outputs, labels)
    center, scale = outputs.double().mean(0), outputs.double().var(0, unbiased=False).mean().sqrt()
    probe, _ = blobs(20, width, 3, seed=5)
    ours = fitted(probe).softmax(1).double()
    gaps = []
    for strength in STRENGTHS:
        oracle = sklearn.LogisticRegression(C=1 / (strength * count), tol=1e-10, max_iter=5000)
        oracle.fit(((outputs.double() - center) / scale).numpy(), labels.numpy())
        theirs = torch.tensor(oracle.predict_proba(((probe.double() - center) / scale).numpy()))
        gaps.append(float((ours - theirs).abs().max()))
    assert min(gaps) < 3e-3
    assert sorted(gaps)[1] > 5e-3  # the other strengths are told apart


def test_strength_is_chosen_by_the_held_out_fold() -> None:
    """Labels that mean nothing ask for the strongest penalty, clear classes for a weaker one."""
    spec = ModelSpec("toy", (8, 8), 20)
    outputs, labels = blobs(200, 20, 4, spread=0.3)
    clear = make_output("linear", classes="abcd", spec=spec).refit(outputs, labels)
    noise = torch.randint(4, (200,), generator=torch.Generator().manual_seed(8))
    vague = make_output("linear", classes="abcd", spec=spec).refit(outputs, noise)
    assert clear(outputs).softmax(1).amax(1).mean() > 0.95
    assert vague(outputs).softmax(1).amax(1).mean() < 0.4


def test_fold_is_stratified_and_keeps_one_of_each() -> None:
    labels = torch.tensor([0] * 10 + [1] * 5 + [2] * 2 + [3])
    fold = one_fifth(labels, 0)
    assert torch.bincount(labels[fold], minlength=4).tolist() == [2, 1, 1, 0]
    assert torch.equal(fold, one_fifth(labels, 0))
    assert any(not torch.equal(fold, one_fifth(labels, seed)) for seed in range(1, 5))


def test_few_answers_are_all_held_out_in_turn() -> None:
    labels = torch.tensor([0] * 7 + [1] * 5 + [2] * 2 + [3])
    parts = torch.stack(fifths(labels, 0))
    assert parts.sum(0).tolist() == [1] * 14 + [0], "the only example of a class is never missing"
    for part in parts:
        assert torch.bincount(labels[~part], minlength=4).min() >= 1
        assert 2 <= int(part.sum()) <= 3
    assert torch.equal(parts, torch.stack(fifths(labels, 0)))
    assert not torch.equal(parts, torch.stack(fifths(labels, 1)))
    assert fifths(torch.arange(4), 0) == []


def test_rounded_outputs_that_rarely_move_do_not_drown_the_others() -> None:
    """Scaled one by one, the noise of many small outputs would count as much as the few that speak."""
    outputs, labels = blobs(90, 4, 3)
    generator = torch.Generator().manual_seed(3)
    noisy = torch.cat([outputs, 0.02 * torch.randn(90, 500, generator=generator)], dim=1)
    probe, truth = blobs(300, 4, 3, seed=1)
    noisy_probe = torch.cat([probe, 0.02 * torch.randn(300, 500, generator=generator)], dim=1)
    fresh = make_output("linear", classes="abc", spec=ModelSpec("toy", (8, 8), 504))
    right = (fresh.refit(noisy, labels)(noisy_probe).argmax(1) == truth).float().mean()
    scale = noisy.std(0)
    one_by_one = (fresh.refit(noisy / scale, labels)(noisy_probe / scale).argmax(1) == truth).float().mean()
    assert right > one_by_one + 0.1


def test_many_outputs_few_images() -> None:
    outputs, labels = blobs(50, 1000, 5)
    probe, truth = blobs(200, 1000, 5, seed=1)
    fitted = make_output("linear", classes="abcde", spec=ModelSpec("toy", (8, 8), 1000)).refit(outputs, labels)
    assert (fitted(probe).argmax(1) == truth).float().mean() > 0.9
    assert fitted(probe).abs().max() < 1e3


def test_constant_and_nearly_constant_columns_are_ignored() -> None:
    outputs, labels = blobs(80, 10, 3)
    outputs[:, 4] = 7.0
    outputs[:, 5] = 0.0
    outputs[:, 6] = 1e4 + torch.randn(80, generator=torch.Generator().manual_seed(0)) * 1e-4
    fitted = make_output("linear", classes="abc", spec=ModelSpec("toy", (8, 8), 10)).refit(outputs, labels)
    moved = outputs.clone()
    moved[:, 4:7] += 100.0
    torch.testing.assert_close(fitted(moved), fitted(outputs))
    constant = torch.ones(6, 10)
    useless = make_output("linear", classes="abc", spec=ModelSpec("toy", (8, 8), 10))
    logits = useless.refit(constant, torch.tensor([0, 1, 1, 1, 1, 2]))(constant)
    torch.testing.assert_close(logits.softmax(1)[0], torch.tensor([1, 4, 1]) / 6, rtol=1e-3, atol=1e-3)


def test_absent_classes_are_never_chosen(caplog: pytest.LogCaptureFixture) -> None:
    outputs, labels = blobs(60, 8, 2)
    fresh = make_output("linear", classes=("gone", "a", "lost", "b"), spec=ModelSpec("toy", (8, 8), 8))
    with caplog.at_level(logging.WARNING, "pixprompt"):
        fitted = fresh.refit(outputs, labels * 2 + 1)
    assert "gone, lost" in caplog.text
    for probe in (outputs, outputs * 1000 - 50, torch.zeros(1, 8)):
        logits = fitted(probe)
        assert torch.isfinite(logits).all()
        assert (logits[:, [0, 2]].amax(1) < logits[:, [1, 3]].amin(1)).all()
    assert (fitted(outputs).argmax(1) == labels * 2 + 1).float().mean() > 0.9


def test_probabilities_and_embeddings() -> None:
    outputs, labels = blobs(90, 9, 3)
    outputs = (outputs - outputs.mean(0)) / outputs.std(0)
    for answer, answers in (
        (AnswerKind.PROBABILITIES, (5 * outputs).softmax(1)),
        (AnswerKind.EMBEDDINGS, torch.nn.functional.normalize(outputs, dim=1)),
    ):
        spec = ModelSpec("toy", (8, 8), 9, answer)
        fitted = make_output("linear", classes="abc", spec=spec).refit(answers, labels)
        assert (fitted(answers).argmax(1) == labels).float().mean() > 0.8


@pytest.mark.slow
def test_the_whole_grid_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, labels = blobs(1200, 1000, 10, spread=6.0)
    fresh = make_output("linear", classes="abcdefghij", spec=ModelSpec("toy", (8, 8), 1000))
    steps: list[int] = []

    def counted(logits: Tensor, *inputs: object, **options: object) -> Tensor:
        steps.append(len(logits))
        return cross_entropy(logits, *inputs, **options)

    cross_entropy = head.cross_entropy
    monkeypatch.setattr(head, "cross_entropy", counted)
    fitted = fresh.refit(outputs, labels)
    assert len(steps) < 400  # 268; one fit alone that does not get there takes 300 steps
    assert (fitted(outputs).argmax(1) == labels).float().mean() > 0.5
