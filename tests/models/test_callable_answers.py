"""What the numbers of an answer are, and labels that are found as answers arrive."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pixprompt.core import Access, AnswerKind, ConfigError, ModelError, ShapeError
from pixprompt.models import CallableModel, as_model, widened
from pixprompt.outputs import candidates, make_output, output_from_json
from pixprompt.replies import OTHER

from .toy_callables import SIZE, constant, photos


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ([0.25, 0.75], AnswerKind.PROBABILITIES),
        ([0.33, 0.33, 0.33], AnswerKind.PROBABILITIES),  # two decimals
        ([0.33334, 0.33334, 0.33334], AnswerKind.PROBABILITIES),
        ([0.01] * 99 + [0.0] * 901, AnswerKind.PROBABILITIES),
        ([0.331, 0.332, 0.3], AnswerKind.LOGITS),  # too little for three decimals
        ([0.5, 0.9], AnswerKind.LOGITS),
        ([-0.5, 1.5], AnswerKind.LOGITS),
        ([0.0, 0.0], AnswerKind.LOGITS),
        ([3.0, 9.0], AnswerKind.LOGITS),
    ],
)
def test_distributions_are_recognised(row: list[float], kind: AnswerKind) -> None:
    assert constant(row).spec.answer is kind
    assert constant([row]).spec.answer is kind, "a batch dimension of one may stay"
    for answer in (AnswerKind.LOGITS, AnswerKind.EMBEDDINGS):
        assert constant(row, answer=answer).spec.answer is answer


def test_differentiable_callables_answer_logits_unless_it_is_said() -> None:
    def soft(images: Tensor) -> Tensor:
        return images.mean((2, 3)).softmax(1)

    assert as_model(soft, image_size=SIZE).spec.answer is AnswerKind.LOGITS
    assert as_model(soft, image_size=SIZE, answer="probabilities").spec.answer is AnswerKind.PROBABILITIES
    blind = as_model(lambda images: soft(images).detach(), image_size=SIZE)
    assert (blind.access, blind.spec.answer) == (Access.SCORES, AnswerKind.PROBABILITIES)


def test_named_scores_of_all_labels_are_a_full_answer() -> None:
    replies = iter([{"b": 0.5, "a": 0.5}, {"b": 0.75, "a": 0.25}, {"b": 0.6}])
    model = as_model(lambda image: next(replies), takes="image", image_size=SIZE, labels=("a", "b"))
    assert (model.spec.answer, model.spec.labels) == (AnswerKind.PROBABILITIES, ("a", "b"))
    assert model(photos(1)).tolist() == [[0.25, 0.75]]
    torch.testing.assert_close(model(photos(1)), torch.tensor([[0.4, 0.6]]))  # the rest is what is left over
    logits = constant({"b": 3.0, "a": -2.0}, answer="logits")
    assert (logits.spec.labels, logits(photos(1)).tolist()) == (("b", "a"), [[3.0, -2.0]])


def test_top_k_rows_are_silent_where_the_answer_is() -> None:
    replies = iter([{"a": 0.5}, {"c": 0.25, "a": 0.5}, {"x": 0.25, "y": 0.125}, {}, []])
    model = as_model(lambda image: next(replies), takes="image", image_size=SIZE, labels=("a", "b", "c"))
    assert (model.spec.answer, model.spec.labels) == (AnswerKind.TOP_K, ("a", "b", "c", OTHER))
    assert model(photos(4)).tolist() == [[0.5, 0, 0.25, 0], [0, 0, 0, 0.375], [0, 0, 0, 1], [0, 0, 0, 1]]
    with pytest.raises(ConfigError, match="2 labels for 3 outputs"):
        constant([0.1, 0.2, 0.3], labels=("a", "b"))
    twice = constant([("crane", 0.25), ("crane", 0.5)])
    assert twice(photos(1)).tolist() == [[0.0, 0.75]], "two classes of one name"


def answering(replies: list[object]) -> CallableModel:
    queue = iter([replies[0], *replies])
    model = as_model(lambda image: next(queue), takes="image", image_size=SIZE, name="told")
    assert isinstance(model, CallableModel)
    return model


def test_rows_grow_until_the_vocabulary_is_closed() -> None:
    model = answering([{"a": 0.5}, {"b": 0.25}, {"a": 0.5, "c": 0.25}, {"d": 0.25, "e": 0.5, "a": 0.125}])
    assert (model.open, model.vocabulary, model.spec.num_outputs) == (True, (OTHER,), 1)
    first = model(photos(2))
    assert first.tolist() == [[0, 0.5, 0], [0, 0, 0.25]]
    second = model(photos(1))
    assert second.tolist() == [[0, 0.5, 0, 0.25]]
    with pytest.raises(ShapeError):
        widened(first, 2)
    assert widened(first, model.spec.num_outputs).tolist() == [[0, 0.5, 0, 0], [0, 0, 0.25, 0]]
    model.close_vocabulary()
    assert (model.open, model.spec.labels) == (False, (OTHER, "a", "b", "c"))
    assert model(photos(1)).tolist() == [[0.75, 0.125, 0, 0]], "later ones add up"


def test_sentences_find_the_classes_that_are_expected() -> None:
    model = answering(["This is a cat, I think.", "dog", "A bird", "Nobody could say what this might show."])
    model.expect(("cat", "sea_horse"))
    assert model(photos(4)).argmax(1).tolist() == [1, 3, 4, 0]
    assert model.vocabulary == (OTHER, "cat", "sea_horse", "dog", "A bird")
    assert candidates(model.spec, False, classes=("cat", "sea_horse"))[0] == "names"
    named = answering([{"a": 0.5}])
    named.expect(("cat",))
    assert named.vocabulary == (OTHER,), "names of scores are taken as they are"


def test_a_prompt_file_brings_the_labels_back() -> None:
    replies: list[object] = ["cat", "dog", "cat", "stove", "dog", "bird"]
    model, classes = answering(replies), ("wolf", "tiger")
    outputs = [model(photos(1)) for _ in range(5)]
    model.close_vocabulary()
    rows = torch.cat([widened(part, model.spec.num_outputs) for part in outputs])
    fitted = make_output("blm", classes=classes, spec=model.spec).refit(rows, torch.tensor([1, 0, 1, 0, 0]))
    values = json.loads(json.dumps(fitted.to_json()))
    anew = answering(list(reversed(replies)))
    anew.restore(values["labels"], closed=True)
    assert (anew.spec.labels, anew.open) == (model.spec.labels, False)
    again = output_from_json(values, spec=anew.spec)
    assert again(anew(photos(1))).shape == (1, 2)  # "bird", unknown by then
    assert [int(again(anew(photos(1))).argmax()) for _ in range(4)] == [0, 0, 1, 0]
    other_order = answering(list(reversed(replies)))
    other_order(photos(4))
    other_order.close_vocabulary()
    assert other_order.spec.num_outputs != len(values["labels"]) or other_order.spec.labels != model.spec.labels


def test_fixed_labels_can_only_be_restored_as_they_are() -> None:
    plain = constant([0.1, 0.9], labels=("a", "b"))
    assert isinstance(plain, CallableModel)
    plain.restore(("a", "b"), closed=True)
    plain.close_vocabulary()
    plain.expect(("c",))
    assert (plain.vocabulary, plain.open) == (("a", "b"), False)
    with pytest.raises(ModelError, match="not the 1 that were recorded"):
        plain.restore(("a",), closed=True)
    nameless = constant([0.1, 0.9])
    assert isinstance(nameless, CallableModel)
    assert nameless.vocabulary == ()
    assert nameless.spec == replace(nameless.spec, labels=None)
