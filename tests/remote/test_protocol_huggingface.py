"""Hugging Face classification and zero-shot: what is sent, what is read, and garbage that is nothing but a fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pixprompt.core import AnswerKind, ConfigError
from pixprompt.remote.messages import Incoming, Outgoing
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.huggingface import HuggingFace, HuggingFaceZeroShot
from pixprompt.replies.readers import reader_for

from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

LABELS = ("cat", "dog", "crab")
LOGITS = (2.0, -1.0, 0.5)
URL = "http://h/classify"


def classifier(known: tuple[str, ...] | None = LABELS, /, **options: Any) -> HuggingFace:
    return HuggingFace(Endpoint(URL, "huggingface", labels=known, options=options))


def chooser(known: tuple[str, ...] | None = LABELS, /, **options: Any) -> HuggingFaceZeroShot:
    return HuggingFaceZeroShot(Endpoint(URL, "huggingface-zero-shot", labels=known, options=options))


def pipeline(outgoing: Outgoing) -> Incoming:
    """What the `transformers` pipeline does with its parameters, for a model with three fixed logits."""
    parameters = json.loads(outgoing.body)["parameters"]
    logits = np.array(LOGITS)
    scores = {
        "none": logits,
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "softmax": np.exp(logits) / np.exp(logits).sum(),
    }[parameters.get("function_to_apply", "softmax")]
    order = np.argsort(-scores)[: parameters.get("top_k", 5)]
    return answer([{"label": LABELS[index], "score": float(scores[index])} for index in order])


def zero_shot(outgoing: Outgoing) -> Incoming:
    """Scores by the length of the filled-in sentence, best first."""
    parameters = json.loads(outgoing.body)["parameters"]
    template = parameters.get("hypothesis_template", "This is a photo of {}.")
    weights = {label: float(len(template.format(label))) for label in parameters["candidate_labels"]}
    ranked = sorted(weights, key=lambda label: -weights[label])
    return answer([{"label": label, "score": weights[label] / sum(weights.values())} for label in ranked])


# What is sent --------------------------------------------------------------------------------------------------------


def sent(outgoing: Outgoing) -> dict[str, Any]:
    assert (outgoing.method, outgoing.url) == ("POST", URL)
    assert outgoing.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = json.loads(outgoing.body)
    return body


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_the_request_is_the_one_of_the_documentation(encoding: str) -> None:
    image = picture(0, encoding=encoding)
    body = sent(classifier(function="none").request([image]))
    text = base64.b64encode(image.content).decode()
    assert body == {"inputs": text, "parameters": {"top_k": 3, "function_to_apply": "none"}}


@pytest.mark.parametrize(
    ("labels", "options", "parameters"),
    [
        (LABELS, {}, {"top_k": 3}),
        (None, {}, {"top_k": 10_000}),
        (LABELS, {"top_k": 2, "function": "sigmoid"}, {"top_k": 2, "function_to_apply": "sigmoid"}),
    ],
)
def test_all_classes_are_asked_for_unless_an_option_says_otherwise(
    labels: tuple[str, ...] | None, options: dict[str, Any], parameters: dict[str, Any]
) -> None:
    protocol = classifier(labels, **options)
    assert sent(protocol.request([picture(0)]))["parameters"] == parameters
    assert protocol.facts()["parameters"] == parameters


def test_the_zero_shot_request_is_the_one_of_the_documentation() -> None:
    image = picture(0)
    text = base64.b64encode(image.content).decode()
    body = sent(chooser(None, labels=["x", "y z"], hypothesis_template="a {}").request([image]))
    assert body == {"inputs": text, "parameters": {"candidate_labels": ["x", "y z"], "hypothesis_template": "a {}"}}
    assert sent(chooser().request([image]))["parameters"] == {"candidate_labels": list(LABELS)}
    assert chooser().facts() != chooser(("a", "b")).facts()


# What is read --------------------------------------------------------------------------------------------------------


def test_logits_keep_their_names_whatever_order_the_labels_have() -> None:
    """What is kept must not hang on the order of a description, which may be another one when it is read."""
    protocol = classifier(function="none")
    logits = dict(zip(LABELS, LOGITS, strict=True))
    assert ask(protocol, [picture(0)], pipeline) == [logits]
    assert protocol.discover(pipeline).answer is AnswerKind.LOGITS
    turned = LABELS[::-1]
    (result,) = classifier(turned, function="none").read(pipeline(protocol.request([picture(0)])), 1)
    reader = reader_for(result, answer=AnswerKind.LOGITS, labels=turned, num_outputs=None, name="m")
    assert reader.labels == turned
    assert reader.rows([result])[0].tolist() == pytest.approx([logits[label] for label in turned])


@pytest.mark.parametrize(
    ("labels", "options"), [(None, {}), (LABELS, {"top_k": 2}), (("cat", "dog", "cow"), {}), (("cat", "dog"), {})]
)
def test_logits_of_other_labels_keep_their_names(labels: tuple[str, ...] | None, options: dict[str, Any]) -> None:
    answers = ask(classifier(labels, function="none", **options), [picture(0)], pipeline)
    ranked = sorted(zip(LABELS, LOGITS, strict=True), key=lambda pair: -pair[1])
    count = options.get("top_k") or len(labels or LABELS)
    assert answers == [dict(ranked[:count])]


@pytest.mark.parametrize("function", [None, "softmax", "sigmoid"])
def test_probabilities_keep_their_names(function: str | None) -> None:
    protocol = classifier(**({} if function is None else {"function": function}))
    (answers,) = ask(protocol, [picture(0)], pipeline)
    powers = np.exp(LOGITS)
    expected = powers / (1 + powers) if function == "sigmoid" else powers / powers.sum()
    assert answers == pytest.approx(dict(zip(LABELS, expected, strict=True)))
    assert protocol.discover(pipeline).answer is None


def test_a_list_per_image_is_read_too() -> None:
    items = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25, "box": None}]
    for body in (items, [items]):
        assert classifier().read(answer(body), 1) == [{"cat": 0.75, "dog": 0.25}]


def test_probabilities_of_one_label_add_up_and_logits_do_not() -> None:
    twice = [{"label": "crane", "score": 0.5}, {"label": "crane", "score": 0.25}]
    assert classifier(None).read(answer(twice), 1) == [{"crane": 0.75}]  # two classes may have one name
    assert "comes twice" in garbled(classifier(None, function="none"), twice, 1)
    assert "comes twice" in garbled(classifier(("crane", "dog")), twice, 1)  # the names are known to differ


def test_zero_shot_answers_come_in_any_order() -> None:
    protocol = chooser()
    (answers,) = ask(protocol, [picture(0)], zero_shot)
    lengths = {label: len(f"This is a photo of {label}.") for label in LABELS}
    assert answers == pytest.approx({label: length / sum(lengths.values()) for label, length in lengths.items()})
    assert next(iter(answers)) == "crab"
    assert (protocol.discover(zero_shot).labels, protocol.discover(zero_shot).num_outputs) == (LABELS, 3)


# What is refused -----------------------------------------------------------------------------------------------------

MAKERS: list[Callable[[], Any]] = [classifier, chooser]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[", b"null", 3, "cat", [], {}, [[]], [[], []], [None], [["cat", 0.5]], [[[]]]),
        *([{"label": "cat"}], [{"score": 1}], [{"label": None, "score": 1}], [{"label": "cat", "score": "1"}]),
        *([{"label": "cat", "score": True}], [{"label": ["cat"], "score": 1}], b'[{"label": "cat", "score": NaN}]'),
        *({"error": ""}, [{"error": "x"}], [{"label": "cat", "score": 1}, []], b'[{"label": "cat", "score": 1e999}]'),
    ],
)
def test_garbage_is_a_fault(make: Callable[[], Any], body: object) -> None:
    assert garbled(make(), body, 1)


@pytest.mark.parametrize("make", MAKERS)
def test_an_error_with_status_200_is_a_fault_with_its_words(make: Callable[[], Any]) -> None:
    error = fault(make(), answer({"error": "Model is loading", "estimated_time": 20.0}), 1)
    assert error.kind is FaultKind.BUSY
    assert "Model is loading" in error.reason


def test_a_label_that_was_no_candidate_is_a_fault() -> None:
    assert "'cow', which was no candidate" in garbled(chooser(), [{"label": "cow", "score": 1}], 1)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (classifier, {"topk": 3}, "Did you mean 'top_k'"),
        (classifier, {"top_k": 0}, "at least 1"),
        (classifier, {"function": "relu"}, "softmax"),
        (chooser, {"labels": ["one"]}, "two or more different"),
        (chooser, {"labels": ["a", "a"]}, "two or more different"),
        (chooser, {"labels": ["a", 3]}, "two or more different"),
        (chooser, {"labels": "ab"}, "two or more different"),
        (chooser, {"hypothesis_template": "a photo"}, "where the label goes"),
        (chooser, {"hypothesis_template": 3}, "a text"),
    ],
)
def test_options_that_make_no_sense_are_found_at_once(
    make: Callable[..., Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**options)


def test_zero_shot_asks_about_the_labels_that_a_run_names() -> None:
    with pytest.raises(ConfigError, match="asks about labels, and none are named"):
        chooser(None).request([picture(0)])
    named = chooser(None, max_labels=5).with_labels(("a", "b"))
    assert sent(named.request([picture(0)]))["parameters"] == {"candidate_labels": ["a", "b"]}
    assert named.discover(zero_shot).labels == ("a", "b")
    assert named.max_labels == 5
    assert chooser().with_labels(LABELS[:2]).facts() != chooser().facts() == chooser().with_labels(LABELS).facts()
