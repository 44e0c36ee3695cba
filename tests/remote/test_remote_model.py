"""Remote models learn from their first answer what the others will be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pixprompt.core import Access, AnswerKind, ConfigError, EndpointError, Model, ModelError
from pixprompt.ledger.reply_ledger import SKIPPED
from pixprompt.remote import RemoteModel
from pixprompt.remote.protocol import Declared, Endpoint

from .scripted_sender import Pixels, ScriptedSender, fault, images, remote
from .toy_endpoint import QUICK, URL, FakeClock, ToyProtocol


def make(
    reply: Callable[[int], Any] = lambda number: [0.1, 0.7, 0.2], /, declared: Declared | None = None, **any: Any
) -> RemoteModel:
    endpoint = Endpoint(URL, "pixels", **{"image_size": (1, 1), **any})
    return RemoteModel(URL, Pixels(endpoint), ScriptedSender(answer=reply), declared or Declared(), retry_policy=QUICK)


@pytest.mark.parametrize(
    ("answer", "kind", "labels"),
    [
        ([0.1, 0.7, 0.2], AnswerKind.PROBABILITIES, None),
        ([1.0, -7.0, 2.0], AnswerKind.LOGITS, None),
        ({"a": 0.5, "b": 0.1}, AnswerKind.TOP_K, ("(other)", "a", "b")),
        ("a cat", AnswerKind.LABEL, ("(other)", "a cat")),
    ],
)
def test_the_first_answer_tells_the_form(answer: Any, kind: AnswerKind, labels: tuple[str, ...] | None) -> None:
    model = make(lambda number: answer)
    assert isinstance(model, Model)
    assert (model.access, model.spec.num_outputs, model.known, model.open) == (Access.SCORES, 0, False, True)
    rows = model(images(1, 2))
    spec = model.spec
    assert (spec.answer, spec.labels, spec.num_outputs) == (kind, labels, rows.shape[1])
    assert model.open is (labels is not None)
    assert model.known


def test_what_the_endpoint_says_goes_before_what_it_declares_and_both_before_looking() -> None:
    declared = Declared((3, 4), 3, ("x", "y", "z"), AnswerKind.LOGITS, 5)
    model = make(declared=declared, image_size=None)
    assert (model.spec.image_size, model.spec.labels, model.spec.answer) == ((3, 4), ("x", "y", "z"), AnswerKind.LOGITS)
    assert (model.max_batch, model.spec.num_outputs) == (5, 3)
    model = make(declared=declared, labels=("p", "q", "r"), answer=AnswerKind.PROBABILITIES, max_batch=2)
    assert (model.spec.image_size, model.max_batch) == ((1, 1), 2)
    model(images(1))
    assert (model.spec.labels, model.spec.answer) == (("p", "q", "r"), AnswerKind.PROBABILITIES)
    assert make(image_size=None).spec.image_size == (224, 224)
    with pytest.raises(EndpointError, match="returned 3 scores, expected 4"):
        make(declared=Declared(num_outputs=4))(images(1))


def test_the_order_of_named_scores_does_not_hang_on_the_first_answer() -> None:
    """With a kind that needs all labels and no list of them: another session may see another answer first."""
    orders = []
    for first in ({"b": 1.0, "a": -1.0}, {"a": -1.0, "b": 1.0}):
        model = make(lambda number, first=first: first, answer=AnswerKind.LOGITS)
        orders.append((model(images(1)).tolist(), model.spec.labels))
    assert orders == [([[-1.0, 1.0]], ("a", "b"))] * 2


def test_labels_of_an_earlier_session_are_taken_over_before_the_first_answer() -> None:
    model = make(lambda number: {"new": 0.2, "b": 0.8})
    model.assume(3, AnswerKind.TOP_K)
    model.restore(("(other)", "a", "b"), closed=True)
    assert (model.spec.num_outputs, model.spec.labels, model.open) == (3, ("(other)", "a", "b"), False)
    assert model(images(1)).tolist() == [[pytest.approx(0.2), 0, pytest.approx(0.8)]]


def test_expected_names_are_heard_in_sentences() -> None:
    model = make(lambda number: "I see a zebra")
    model.expect(["brick", "zebra"])
    assert model(images(1)).tolist() == [[0, 0, 1]]
    model.close_vocabulary()
    assert not model.open


def test_a_prompt_made_for_logits_is_not_read_by_probabilities() -> None:
    model = make()
    model.assume(3, AnswerKind.LOGITS)
    with pytest.raises(ModelError, match="looks like probabilities"):
        model(images(1))
    remote = make(answer=AnswerKind.PROBABILITIES)
    remote.assume(3, AnswerKind.LOGITS)
    assert remote(images(1)).shape == (1, 3)


def test_what_was_left_without_an_answer_is_a_row_of_zeros() -> None:
    model = make()
    assert model.read([SKIPPED]).shape == (1, 0)
    rows = model.read([SKIPPED, np.array([0.1, 0.9]), SKIPPED])
    assert rows.tolist() == [[0, 0], [pytest.approx(0.1), pytest.approx(0.9)], [0, 0]]
    assert model.spec.answer is AnswerKind.PROBABILITIES  # the first that was heard tells the form


def test_the_identity_holds_what_an_answer_depends_on() -> None:
    base = make().identity
    for change in ({"options": {"top": 5}}, {"url": "http://127.0.0.1:9/b"}):
        endpoint = Endpoint(**{"url": URL, "protocol": "pixels", **change})
        assert RemoteModel("x", Pixels(endpoint), ScriptedSender(), Declared()).identity != base
    assert make(max_batch=7).identity == base  # how many go together changes no answer
    endpoint = Endpoint(URL, "toy", encoding="jpeg")
    assert "jpeg 95" in RemoteModel("x", ToyProtocol(endpoint), ScriptedSender(), Declared()).identity


def test_an_encoding_of_files_is_refused_where_numbers_are_sent() -> None:
    with pytest.raises(ConfigError, match=r"as numbers.*leave out the encoding 'jpeg'"):
        make(encoding="jpeg")
    make(encoding="png")


def test_without_a_ledger_it_asks_and_raises_all_the_same() -> None:
    sender = ScriptedSender(fault("refused", 401))
    model = remote(sender)
    with pytest.raises(EndpointError, match="Check the credentials"):
        model(images(1))
    assert torch.equal(model(images(1)), remote(ScriptedSender())(images(1)))
    assert FakeClock().now() == 0
