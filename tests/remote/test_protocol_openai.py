"""Chat models with images: the question that is sent, and the letters that are read from tokens and from texts."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pixprompt.core import AnswerKind, ConfigError
from pixprompt.remote.messages import Incoming, ItemFault, Outgoing
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.openai import OpenAI, letter_of_token
from pixprompt.replies import OTHER
from pixprompt.replies.readers import reader_for

from .chat_replies import API, LABELS, MANY, body_of, chat, reply, scores_of, tokens
from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

# What is sent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "media_type"), [("png", "image/png"), ("jpeg", "image/jpeg")])
def test_the_request_is_the_one_of_the_documentation(encoding: str, media_type: str) -> None:
    image = picture(0, encoding=encoding)
    outgoing = chat(detail="low", seed=0).request([image])
    assert (outgoing.method, outgoing.url) == ("POST", "http://h/v1/chat/completions")
    assert outgoing.headers["Content-Type"] == "application/json"
    question = (
        "Which of these does the image show?\nA. cat\nB. dog\nC. crab\nAnswer with exactly one letter and nothing else."
    )
    url = f"data:{media_type};base64,{base64.b64encode(image.content).decode()}"
    content = [
        {"type": "text", "text": question},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    assert body_of(outgoing) == {
        "model": "m",
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": True,
        "top_logprobs": 20,
        "seed": 0,
        "messages": [{"role": "user", "content": content}],
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"logprobs": False}, {"max_tokens": 16}),
        ({"logprobs": True, "top_logprobs": 5}, {"max_tokens": 1, "logprobs": True, "top_logprobs": 5}),
        ({"logprobs": False, "token_limit": "max_completion_tokens"}, {"max_completion_tokens": 16}),
        ({"logprobs": False, "max_tokens": 9, "extra": {"temperature": 1, "x": [2]}}, {"max_tokens": 9, "x": [2]}),
        ({"labels": list(MANY)}, {"max_tokens": 64}),
    ],
)
def test_options_change_the_fields_that_they_name(options: dict[str, Any], fields: dict[str, Any]) -> None:
    body = body_of(chat(**options).request([picture(0)]))
    temperature = options.get("extra", {}).get("temperature", 0)
    assert {**body, "messages": None} == {"model": "m", "temperature": temperature, **fields, "messages": None}
    assert list(body["messages"][0]["content"][1]["image_url"]) == ["url"]


def test_the_question_may_be_another_one() -> None:
    (text, _) = body_of(chat(prompt="Pick: {labels}! {x}").request([picture(0)]))["messages"][0]["content"]
    assert text["text"] == "Pick: A. cat\nB. dog\nC. crab! {x}"
    assert chat().facts() != chat(prompt="Pick: {labels}").facts() != chat(("a", "b"), prompt="Pick: {labels}").facts()


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/d/g?api-version=1", "https://h/d/g/chat/completions?api-version=1"),
    ],
)
def test_the_address_may_be_that_of_the_api(url: str, full: str) -> None:
    assert chat(url=url).request([picture(0)]).url == full


# Log-probabilities ---------------------------------------------------------------------------------------------------


def test_spellings_of_a_letter_add_up_and_other_tokens_are_other() -> None:
    listed = tokens(
        ("B", 0.5), (" B", 0.125), ("b", 0.0625), ("A", 0.125), ("The", 0.0625), ("D", 0.03125), ("C.", 0.0)
    )
    result = scores_of(chat(), reply("B", listed))
    assert result == pytest.approx({"dog": 0.6875, "cat": 0.125, "crab": 0.0, OTHER: 0.09375})


def test_labels_that_are_not_among_the_likeliest_tokens_are_silent() -> None:
    assert scores_of(chat(), reply("A", tokens(("A", 0.75), ("I", 0.25)))) == pytest.approx({"cat": 0.75, OTHER: 0.25})


def test_the_token_that_was_chosen_counts_where_it_is_not_listed() -> None:
    chosen = {"content": [{"token": "C", "logprob": math.log(0.25), "top_logprobs": []}]}
    assert scores_of(chat(), reply("C", chosen)) == pytest.approx({"crab": 0.25, OTHER: 0.0})
    listed = tokens(("A", 0.75), ("C", 0.25), first=1)
    assert scores_of(chat(), reply("C", listed)) == pytest.approx({"cat": 0.75, "crab": 0.25, OTHER: 0.0})


@pytest.mark.parametrize("logprob", [b"-Infinity", b"-1e999", b"-9999.0", b"1e-7"])
def test_extreme_log_probabilities_stay_probabilities(logprob: bytes) -> None:
    body = json.dumps(reply("A", tokens(("A", 0.5), ("B", 0.25)))).encode()
    number = json.dumps(math.log(0.25)).encode()
    assert body.count(number) == 1
    result = scores_of(chat(), body.replace(number, logprob))
    assert result["dog"] == (1 if logprob == b"1e-7" else 0)


@given(st.dictionaries(st.text(max_size=3), st.floats(-50, 0), min_size=1, max_size=20))
def test_nothing_is_lost_and_nothing_is_invented(listed: dict[str, float]) -> None:
    entries = [{"token": token, "logprob": value} for token, value in listed.items()]
    result = scores_of(chat(), reply("A", {"content": [{**entries[0], "top_logprobs": entries}]}))
    letters = {"A": "cat", "B": "dog", "C": "crab"}
    for letter, label in letters.items():
        whole = sum(math.exp(value) for token, value in listed.items() if letter_of_token(token) == letter)
        assert result.get(label, 0.0) == pytest.approx(min(1.0, whole))
    assert set(result) <= {*LABELS, OTHER}
    assert all(0 <= score <= 1 for score in result.values())


def test_what_is_declared_is_what_will_come() -> None:
    def get(outgoing: Outgoing) -> Incoming:
        raise AssertionError("nothing is asked")

    for expected, kind in ((True, AnswerKind.TOP_K), (False, AnswerKind.LABEL), ("auto", None)):
        declared = chat(logprobs=expected).discover(get)
        assert (declared.labels, declared.answer) == (LABELS, kind)
    assert chat(MANY).discover(get).answer is AnswerKind.LABEL


def test_missing_log_probabilities_are_a_fault_where_they_were_demanded() -> None:
    for logprobs in (None, {"content": None}, {"content": []}, {}, 7):
        assert "set the option logprobs" in garbled(chat(logprobs=True), reply("A", logprobs), 1)
        assert chat().read(answer(reply("A", logprobs)), 1) == ["cat"]


def test_what_an_answer_is_read_as_does_not_hang_on_the_answers_before() -> None:
    protocol = chat()
    bodies = [reply("A", tokens(("A", 1.0))), reply("B"), reply("Sorry.")]
    results = [{"cat": 1.0, OTHER: 0.0}, "dog", "Sorry."]
    for _ in range(2):
        assert [protocol.read(answer(body), 1) for body in bodies] == [[each] for each in results]
        bodies.reverse()
        results.reverse()


@pytest.mark.parametrize("logprobs", [True, "auto"])
def test_a_refusal_among_probabilities_is_other(logprobs: object) -> None:
    refused = reply(None, message={"refusal": "I cannot tell a dog."}, finish_reason="content_filter")
    assert scores_of(chat(logprobs=logprobs), refused) == {OTHER: 1.0}


@pytest.mark.parametrize("turn", [False, True])
def test_all_answers_of_a_run_are_read_whether_numbers_come_or_not(turn: bool) -> None:
    protocol = chat()
    bodies = [reply("A", tokens(("A", 0.75), ("B", 0.25))), reply("B"), reply("It is a crab.")]
    replies = [protocol.read(answer(body), 1)[0] for body in (bodies[::-1] if turn else bodies)]
    assert not any(isinstance(each, ItemFault) for each in replies)
    model = reader_for(replies[0], answer=None, labels=LABELS, num_outputs=None, name="m")
    assert model.labels == (*LABELS, OTHER)
    rows = model.rows(replies)[:: -1 if turn else 1]
    assert rows.argmax(1).tolist() == [0, 1, 2]
    assert rows[0].max() == (1 if turn else 0.75)


def test_log_probabilities_that_nobody_asked_for_are_not_read() -> None:
    assert chat(logprobs=False).read(answer(reply("B", tokens(("A", 1.0)))), 1) == ["dog"]


# Texts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "read"),
    [
        *(("B", "dog"), ("C. crab", "crab"), ("Z", "Z"), ("A dog!", "A dog!"), ("I can't help.", "I can't help.")),
        *(("", ""), ([{"type": "text", "text": "B"}], "dog"), ([{"type": "image"}], "")),
    ],
)
def test_a_text_is_a_label_by_its_letter_or_stays_a_text(content: object, read: str) -> None:
    assert chat(logprobs=False).read(answer(reply(content)), 1) == [read]


def test_a_refusal_is_its_own_text() -> None:
    protocol = chat(logprobs=False)
    assert protocol.read(answer(reply(None, message={"refusal": "B. I will not."})), 1) == ["B. I will not."]
    assert protocol.read(answer(reply(None, finish_reason="content_filter")), 1) == [""]


def test_more_labels_than_letters_are_asked_for_by_their_words() -> None:
    protocol = chat(MANY)
    (text, _) = body_of(protocol.request([picture(0)]))["messages"][0]["content"]
    assert "\nkind 0\nkind 1\n" in text["text"]
    assert "A. " not in text["text"]
    assert protocol.read(answer(reply("kind 26")), 1) == ["kind 26"]
    assert protocol.read(answer(reply("B")), 1) == ["B"]
    with pytest.raises(ConfigError, match="at most 26 labels, got 27"):
        chat(MANY, logprobs=True)
    assert chat(MANY[:26], logprobs=True)


def test_a_whole_conversation() -> None:
    def model(outgoing: Outgoing) -> Incoming:
        """Answers with the letter that stands before "dog", as sure as it is told to be."""
        body = body_of(outgoing)
        (text, image) = body["messages"][0]["content"]
        assert base64.b64decode(image["image_url"]["url"].partition(",")[2]) == picture(0).content
        letter = next(line[0] for line in text["text"].splitlines() if line.endswith(". dog"))
        return answer(reply(letter, tokens((letter, 0.75), ("E", 0.25)) if body.get("logprobs") else None))

    assert ask(chat(("x", "y", "dog")), [picture(0)], model) == [pytest.approx({"dog": 0.75, OTHER: 0.25})]
    assert ask(chat(("x", "dog"), logprobs=False), [picture(0)], model) == ["dog"]


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"data: {}", [], {}, None, {"choices": []}, {"choices": None}, {"choices": {}}, {"choices": ["A"]}),
        *({"choices": [{}]}, {"choices": [{"message": "A"}]}, {"choices": [{"message": {}}]}, reply(None), reply(7)),
        *(reply("A", {"content": [{"token": "A"}]}), reply("A", {"content": [{"token": 7, "logprob": -1.0}]})),
        *(reply("A", {"content": [{"token": "A", "logprob": "x"}]}), reply("A", tokens(("A", 1)) | {"content": [{}]})),
        *(
            reply("A", {"content": [{"token": "A", "logprob": -1, "top_logprobs": x}]})
            for x in ("A", [3], [{}], {1: 2})
        ),
        json.dumps(reply("A", {"content": [{"token": "A", "logprob": math.nan}]})).encode(),
    ],
)
def test_garbage_is_a_fault(body: object) -> None:
    assert garbled(chat(), body, 1)


def test_an_error_with_status_200_is_a_fault_with_its_words() -> None:
    error = fault(chat(), answer({"error": {"message": "no credits", "code": 402}}), 1)
    assert error.kind is FaultKind.BUSY
    assert "no credits" in error.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modell": "m"}, "Did you mean 'model'"),
        ({"model": ""}, "a text"),
        ({"labels": ["one"]}, "two or more different"),
        ({"prompt": "What is it?"}, "where the list of labels goes"),
        ({"detail": "ultra"}, "low, high, auto"),
        ({"logprobs": "yes"}, '"auto"'),
        ({"logprobs": 1}, '"auto"'),
        ({"top_logprobs": 21}, "at most 20"),
        ({"max_tokens": 0}, "at least 1"),
        ({"token_limit": "tokens"}, "max_completion_tokens"),
        ({"seed": "0"}, "whole number"),
        ({"seed": True}, "whole number"),
        ({"extra": {"messages": []}}, "besides messages"),
        ({"extra": []}, "besides messages"),
    ],
)
def test_options_that_make_no_sense_are_found_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        chat(**options)


def test_the_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match='needs the option "model"'):
        OpenAI(Endpoint(API, "openai", labels=LABELS))
