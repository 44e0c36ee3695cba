"""Which output transform serves best, and judging no image by a transform that remembers it."""

import pytest
import torch

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.engine.answers import Answered, accuracy
from pixprompt.engine.fit.answers.cross_fit import CrossFit, choose, stratified_order
from pixprompt.outputs import make_output, stratified_folds

CLASSES = ("a", "b", "c")
SPEC = ModelSpec("toy", (8, 8), 40)


def make(kind: str):
    return make_output(kind, classes=CLASSES, spec=SPEC)


def answers(count: int, signal: float, seed: int = 0) -> Answered:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    outputs = torch.randn(count, 40, generator=generator)
    outputs[torch.arange(count), labels] += signal
    return Answered(outputs, labels)


def test_every_beginning_of_the_order_holds_the_classes_evenly() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 10)
    order = stratified_order(labels, 3, "train")
    assert sorted(order.tolist()) == list(range(90))
    for end in (3, 12, 30):
        counts = torch.bincount(labels[order[:end]], minlength=3)
        assert int(counts.max() - counts.min()) <= 1
    assert torch.equal(order, stratified_order(labels, 3, "train"))
    assert not torch.equal(order, stratified_order(labels, 4, "train"))


@pytest.mark.parametrize("count", [7, 25, 60])
def test_folds_share_each_class(count: int) -> None:
    labels = torch.arange(count) % 3
    folds = stratified_folds(labels)
    sizes = torch.bincount(folds, minlength=5)
    assert int(sizes.max() - sizes.min()) <= 1
    for label in range(3):
        own = torch.bincount(folds[labels == label], minlength=5)
        assert int(own.max() - own.min()) <= 1


def test_no_image_is_judged_by_what_remembers_it() -> None:
    """Labels that are pure chance cannot be read off by a cross-fitted head; a plain head remembers them."""
    noise = answers(60, signal=0.0)
    folds = stratified_folds(noise.labels)
    heads = CrossFit.fit(make("linear"), noise, folds)
    assert accuracy(heads.full(noise.outputs), noise.labels) > 0.8
    assert accuracy(heads.logits(noise.outputs, folds), noise.labels) < 0.55


def test_the_transform_of_a_fold_does_not_depend_on_its_images() -> None:
    answered = answers(30, signal=2.0)
    folds = stratified_folds(answered.labels)
    changed = Answered(answered.outputs.clone(), answered.labels)
    changed.outputs[folds == 2] += 100.0
    first, second = (CrossFit.fit(make("linear"), each, folds) for each in (answered, changed))
    assert torch.equal(first.held_out[2](answered.outputs), second.held_out[2](answered.outputs))
    assert not torch.equal(first.held_out[1](answered.outputs), second.held_out[1](answered.outputs))


def test_what_learns_nothing_is_not_fitted() -> None:
    heads = CrossFit.fit(make("first-k"), answers(12, 1.0), stratified_folds(torch.arange(12) % 3))
    assert heads.held_out == ()
    outputs = answers(12, 1.0).outputs
    assert torch.equal(heads.logits(outputs, torch.zeros(12, dtype=torch.int64)), heads.full(outputs))


def test_the_best_kind_comes_first_and_is_found_on_unseen_images() -> None:
    answered = answers(60, signal=3.0)
    choices = choose(make, ("frequency", "linear", "first-k"), answered, stratified_folds(answered.labels))
    assert next(iter(choices)) in ("first-k", "frequency")  # the first three outputs are the classes
    noise = answers(60, signal=0.0)
    flattered = accuracy(make("linear").refit(noise.outputs, noise.labels)(noise.outputs), noise.labels)
    fair = choose(make, ("linear",), noise, stratified_folds(noise.labels))["linear"].accuracy
    assert flattered > fair + 0.3


def test_of_two_alike_the_earlier_wins() -> None:
    answered = answers(30, signal=9.0)
    same = choose(lambda kind: make("first-k"), ("x", "y"), answered, stratified_folds(answered.labels))
    assert list(same) == ["x", "y"]


def test_embeddings_are_read_as_well() -> None:
    spec = ModelSpec("toy", (8, 8), 40, AnswerKind.EMBEDDINGS)
    answered = answers(30, signal=3.0)
    result = choose(
        lambda kind: make_output(kind, classes=CLASSES, spec=spec),
        ("linear",),
        answered,
        stratified_folds(answered.labels),
    )
    assert result["linear"].accuracy > 0.6
