"""Answers keep to the form of the first one before they are kept; and the order of named ones is that of the prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pixprompt.core import AnswerKind, ConfigError, EndpointError, ModelError
from pixprompt.outputs import make_output, output_from_json
from pixprompt.remote import RemoteModel
from pixprompt.remote.protocol import Declared, Endpoint
from pixprompt.replies import OTHER

from .scripted_sender import Pixels, ScriptedSender, images, journal
from .toy_endpoint import QUICK, URL, FakeClock

SCORES, NAMED = [0.1, 0.7, 0.2], {"cat": 0.75, "dog": 0.25}
STRANGE = {
    "shorter": (SCORES, [0.5, 0.5], {}),
    "longer": (SCORES, [0.25] * 4, {}),
    "text among scores": (SCORES, "words", {}),
    "names among scores": (SCORES, NAMED, {}),
    "scores among names": (NAMED, SCORES, {}),
    "scores among texts": ("words", SCORES, {}),
    "another label": (NAMED, {"cat": 0.5, "cow": 0.5}, {"labels": ("dog", "cat")}),
    "a logit left out": ({"cat": -1.0, "dog": 3.0}, {"cat": 2.0}, {"answer": AnswerKind.LOGITS}),
    "other than declared": (SCORES, [0.5, 0.5], {"declared": Declared(num_outputs=3)}),
}
each = pytest.mark.parametrize(("right", "wrong", "options"), STRANGE.values(), ids=STRANGE)


def model(sender: ScriptedSender, /, declared: Declared | None = None, **any: Any) -> RemoteModel:
    endpoint = Endpoint(URL, "pixels", image_size=(1, 1), max_batch=2, **any)
    return RemoteModel(URL, Pixels(endpoint), sender, declared or Declared(), retry_policy=QUICK, clock=FakeClock())


def once(wrong: object, right: object, at: int) -> Callable[[int], Any]:
    """A model that answers wrongly about one image, the first time."""
    left = [wrong]
    return lambda number: left.pop() if number == at and left else right


@each
def test_an_answer_of_another_form_is_asked_again_and_does_not_spoil_the_ledger(
    right: Any, wrong: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    sender = ScriptedSender(answer=once(wrong, right, at=2))
    querier = journal(sender, tmp_path / "l", model=model(sender, **options), concurrency=1)
    rows = querier(images(0, 1, 2, 3, 4))
    assert sender.batches == [[0], [1, 2], [2], [3, 4]]
    assert (rows == rows[0]).all()
    assert (querier.budget.spent, querier.ledger.totals().retried) == (6, 1)
    again = ScriptedSender()
    assert torch.equal(journal(again, tmp_path / "l", model=model(again, **options))(images(0, 1, 2, 3, 4)), rows)
    assert again.batches == []


@each
def test_an_endpoint_that_changes_for_good_is_given_up_and_what_was_right_stays(
    right: Any, wrong: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    sender = ScriptedSender(answer=lambda number: right if number < 2 else wrong)
    with pytest.raises(EndpointError, match=r"returned|left out|has no label"):
        journal(sender, tmp_path / "l", model=model(sender, **options), concurrency=1)(images(0, 1, 2))
    again = ScriptedSender(answer=lambda number: right)
    rows = journal(again, tmp_path / "l", model=model(again, **options))(images(0, 1, 2))
    assert again.image_numbers == [2]
    assert (rows == rows[0]).all()


def test_what_an_earlier_session_was_answered_tells_the_form(tmp_path: Path) -> None:
    sender = ScriptedSender(answer=once("words", SCORES, at=1))
    remote = model(sender)
    remote.learn_form([None, torch.tensor(SCORES, dtype=torch.float64).numpy()])
    assert remote(images(1)).shape == (1, 3)
    assert sender.image_numbers == [1, 1]


def test_a_wrong_description_costs_no_answer(tmp_path: Path) -> None:
    """What the user said is wrong, not what came: it is kept, and read when the description is right."""
    sender = ScriptedSender(answer=lambda number: SCORES)
    with pytest.raises(ConfigError, match="2 labels for 3 outputs"):
        journal(sender, tmp_path / "l", model=model(sender, labels=("a", "b")))(images(1))
    assert sender.image_numbers == [1]
    assert journal(sender, tmp_path / "l", model=model(sender))(images(1)).shape == (1, 3)
    assert sender.image_numbers == [1]


@pytest.mark.parametrize("kind", [AnswerKind.PROBABILITIES, AnswerKind.LOGITS])
def test_the_order_of_named_answers_is_that_of_the_prompt(kind: AnswerKind) -> None:
    def play(number: int) -> dict[str, float]:
        return {"cat": 0.25, "zebra": 0.75}

    learned = model(ScriptedSender(answer=play), labels=("zebra", "cat"), answer=kind)
    rows = learned(images(1))
    assert rows.tolist() == [[0.75, 0.25]]
    values = make_output("first-k", classes=("Z", "C"), spec=learned.spec).to_json()
    assert values["labels"] == ["zebra", "cat"]

    used = model(ScriptedSender(answer=play))  # its description names no labels
    used.assume(values["num_outputs"], AnswerKind(values["answer"]))
    used.restore(values["labels"], closed=True)
    output = output_from_json(values, spec=used.spec)
    assert torch.equal(output(used(images(1))), output(rows))
    assert used.spec.labels == ("zebra", "cat")


def test_labels_in_another_order_than_those_of_the_prompt_are_refused_before_anything_is_asked() -> None:
    sender = ScriptedSender(answer=lambda number: NAMED)
    other = model(sender, labels=("cat", "dog"), answer=AnswerKind.PROBABILITIES)
    with pytest.raises(ModelError, match=r"2 labels, and not the 2 that were recorded.*same order"):
        other.restore(("dog", "cat"), closed=True)
    other.restore(("cat", "dog"), closed=True)
    other.restore(("cat", "dog", OTHER), closed=True)  # as a vocabulary names them
    assert sender.batches == []


def test_answers_in_an_array_leave_no_labels_in_the_prompt() -> None:
    """Their order is the endpoint's own, and names may be given or not."""
    plain = model(ScriptedSender(answer=lambda number: SCORES), labels=("a", "b", "c"))
    plain(images(1))
    assert "labels" not in make_output("first-k", classes=("A",), spec=plain.spec).to_json()
