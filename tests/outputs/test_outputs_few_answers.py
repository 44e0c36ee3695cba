"""Transforms for few labelled answers against scikit-learn, and where each of them is at home."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from pixprompt.core import ModelSpec
from pixprompt.outputs import make_output
from pixprompt.outputs.linear.few_answers import Discriminant, Ridge as RidgeTransform, best_factor
from pixprompt.outputs.linear.folds import stratified_folds
from pixprompt.outputs.linear.form import principal_axes, row_blocks, scored_rows

NAMES = "abcd"


def blobs(count: int, width: int = 12, seed: int = 0, spread: float = 1.5) -> tuple[Tensor, Tensor]:
    generator, shared = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(9)
    labels = torch.arange(count) % len(NAMES)
    centers = torch.randn(len(NAMES), width, generator=shared)
    return centers[labels] + spread * torch.randn(count, width, generator=generator), labels


@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_discriminant_is_that_of_scikit_learn(shrinkage: float) -> None:
    outputs, labels = blobs(60)
    features = principal_axes(outputs.double())[0]
    weight, bias = Discriminant.estimate(features, labels, 4, shrinkage)
    ours = (features @ weight + bias).softmax(1).numpy()
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features.numpy(), labels.numpy())
    # scikit-learn standardises the columns before it shrinks; with columns in principal axes ranks agree closely.
    assert (ours.argmax(1) == peer.predict(features.numpy())).mean() > 0.9


def test_ridge_and_its_strength_are_those_of_leaving_each_answer_out_with_scikit_learn() -> None:
    outputs, labels = blobs(24)
    head = make_output("ridge", classes=NAMES, spec=ModelSpec("toy", (8, 8), 12)).refit(outputs, labels)
    assert isinstance(head, RidgeTransform)
    x, y = outputs.double().numpy(), one_hot(labels).double().numpy()
    level = float(np.square(x - x.mean(0)).sum(1).mean())
    losses = {}
    for strength in head.strengths:
        left_out = [np.arange(24) != row for row in range(24)]
        read = [Ridge(alpha=strength * level).fit(x[rest], y[rest]).predict(x[~rest])[0] for rest in left_out]
        logits = torch.from_numpy(np.stack(read))
        losses[strength] = min(float(cross_entropy(2 ** (power / 2) * logits, labels)) for power in range(-8, 13))
    assert head.strength == min(losses, key=lambda strength: losses[strength])
    peer = torch.from_numpy(Ridge(alpha=head.strength * level).fit(x, y).predict(x)).float()
    logits = head(outputs)
    factor = float(logits.std() / peer.std())
    assert torch.allclose(logits, factor * peer, atol=1e-4)
    assert torch.allclose(head.refit_alike(outputs, labels)(outputs), logits)


def test_fewer_answers_than_outputs_are_fitted_again_to_the_same_head() -> None:
    outputs, labels = blobs(24)
    outputs = torch.cat([outputs, torch.randn(24, 60, generator=torch.Generator().manual_seed(0))], dim=1)
    head = make_output("ridge", classes=NAMES, spec=ModelSpec("toy", (8, 8), 72)).refit(outputs, labels)
    assert torch.allclose(head.refit_alike(outputs, labels)(outputs), head(outputs), atol=1e-5)


@pytest.mark.parametrize("kind", ["lda", "ridge"])
def test_few_answers_are_read_about_as_well_as_by_logistic_regression(kind: str) -> None:
    spec = ModelSpec("toy", (8, 8), 40)
    (outputs, labels), (others, truth) = blobs(32, 40), blobs(400, 40, seed=1)
    read = {
        name: float(
            (make_output(name, classes=NAMES, spec=spec).refit(outputs, labels)(others).argmax(1) == truth)
            .double()
            .mean()
        )
        for name in (kind, "linear")
    }
    assert read[kind] > read["linear"] - 0.05
    assert read[kind] > 0.6


def test_logits_say_how_likely_they_are_right() -> None:
    spec = ModelSpec("toy", (8, 8), 12)
    (outputs, labels), (others, truth) = blobs(120, spread=3.0), blobs(800, seed=1, spread=3.0)
    for kind in ("lda", "ridge"):
        logits = make_output(kind, classes=NAMES, spec=spec).refit(outputs, labels)(others)
        sure = float(logits.softmax(1).amax(1).mean())
        assert sure == pytest.approx(float((logits.argmax(1) == truth).double().mean()), abs=0.1)


def test_many_classes_are_read_in_blocks_with_the_result_of_one() -> None:
    blocks = list(row_blocks(500, 10_000))
    assert [row for rows in blocks for row in range(500)[rows]] == list(range(500))
    assert max(len(range(500)[rows]) for rows in blocks) * 10_000 < 2**20
    outputs, labels = blobs(60)
    whole, parts = (
        [(outputs, labels)],
        [(outputs[:50], labels[:50]), (outputs[50:], labels[50:]), (outputs[:0], labels[:0])],
    )
    assert best_factor(parts) == pytest.approx(best_factor(whole))


def test_where_classes_are_many_some_answers_choose_the_scale() -> None:
    eligible = torch.arange(20_000) % 2 == 0
    assert torch.equal(scored_rows(eligible, 1000, seed=0), eligible.nonzero().flatten())
    rows = scored_rows(eligible, 10_000, seed=0)
    assert len(set(rows.tolist())) == len(rows) == 3355
    assert eligible[rows].all()
    assert torch.equal(rows, scored_rows(eligible, 10_000, seed=0))
    assert not torch.equal(rows, scored_rows(eligible, 10_000, seed=1))


def test_the_only_example_of_a_class_is_always_fitted_on() -> None:
    spec = ModelSpec("toy", (8, 8), 12)
    outputs, labels = blobs(4)
    for kind in ("lda", "ridge"):
        output = make_output(kind, classes=NAMES, spec=spec).refit(outputs, labels)
        assert torch.isfinite(output(outputs)).all()
    assert stratified_folds(labels).tolist() == [0, 1, 2, 3]


def test_axes_are_the_same_where_eigenvectors_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare labels give many equal eigenvalues, at which the fast decomposition now and then gives up."""
    outputs = torch.eye(20)[torch.arange(50) * 7 % 20].double()
    features, _, center = principal_axes(outputs)

    def fail(matrix: Tensor) -> None:
        raise RuntimeError("no convergence")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    others, other_axes, _ = principal_axes(outputs)
    assert others.shape == features.shape
    assert torch.allclose((outputs - center) @ other_axes, others, atol=1e-9)
    assert torch.allclose(others @ others.T, features @ features.T, atol=1e-9)
