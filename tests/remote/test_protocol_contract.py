"""What every registered protocol keeps to: plain facts, requests for one and two images, and no error but a Fault."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pixprompt.core import ConfigError
from pixprompt.remote.messages import Fault, FaultKind, Incoming, ItemFault
from pixprompt.remote.protocol import Endpoint, Protocol
from pixprompt.remote.protocols import PROTOCOLS

from .protocol_helpers import picture

LABELS = ("cat", "dog", "a: b")
JSON_OPTIONS: dict[str, Any] = {
    "body": {"images": {"$each": "$base64"}},
    "images": "outputs[*]",
    "error": {"code": "error.code", "ok": [0], "message": "error.message"},
    "image_error": {"code": "error", "ok": [0]},
}
NAMED = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
ALTERNATIVES = [{"token": "A", "logprob": -0.1, "bytes": [65]}, {"token": " B", "logprob": -2.5, "bytes": [32, 66]}]
TOKENS = {"content": [{"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": ALTERNATIVES}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "A"}, "logprobs": TOKENS, "finish_reason": "length"}
V2_TENSOR = {"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1]}
V2_CLASSES = {"name": "a", "shape": [1, 2], "datatype": "BYTES", "data": ["0.5:0:a:b", "0.25:1"]}
PREDICT = "http://h/v1/models/m:predict"
ENDPOINTS: dict[str, list[tuple[dict[str, Any], object]]] = {
    "v2": [
        ({"url": "http://h/v2/models/m", "options": {"input": "x", "output": "a"}}, {"outputs": [V2_TENSOR]}),
        (
            {"url": "http://h/v2/models/m", "options": {"input": "x", "classification": 2, "binary": True}},
            {"outputs": [V2_CLASSES]},
        ),
    ],
    "tf-serving": [
        ({"url": PREDICT}, {"predictions": [[0.5, 1]]}),
        (
            {"url": PREDICT, "options": {"format": "column", "input": "a_bytes", "output": "a"}},
            {"outputs": {"a": [[0.5, 1]], "b": [[1]]}},
        ),
        (
            {"url": "http://h/v1/models/m:classify", "options": {"input": "a_bytes"}},
            {"results": [[["cat", 0.75], ["a: b", 0.25]]]},
        ),
    ],
    "json": [
        (
            {"options": {**JSON_OPTIONS, "items": "data", "label": "label", "score": "score"}},
            {"error": {"code": 0}, "outputs": [{"data": NAMED, "error": 0}]},
        ),
        ({"options": {**JSON_OPTIONS, "scores": "data"}}, {"outputs": [{"data": [0.5, 1], "error": 0}]}),
        ({"options": {"send": "raw", "label": "label"}}, {"label": "cat"}),
    ],
    "huggingface": [({}, NAMED), ({"labels": LABELS[:2], "options": {"function": "none"}}, NAMED)],
    "huggingface-zero-shot": [({"labels": LABELS[:2]}, NAMED)],
    "openai": [({"labels": LABELS, "options": {"model": "m"}}, {"choices": [CHOICE], "usage": {"total_tokens": 9}})],
}
CASES = [(name, keys, good) for name in PROTOCOLS for keys, good in ENDPOINTS.get(name, [({}, None)])]
IDS = [f"{name}-{index}" for index, (name, *_) in enumerate(CASES)]
each = pytest.mark.parametrize(("name", "keys"), [case[:2] for case in CASES], ids=IDS)


def build(name: str, keys: dict[str, Any]) -> Protocol:
    return PROTOCOLS[name](Endpoint(**{"url": "http://h/x", "protocol": name, **keys}))


def test_every_protocol_is_tried_here() -> None:
    assert set(ENDPOINTS) == set(PROTOCOLS)


def test_lines_fit_a_list() -> None:
    assert all(10 <= len(line) <= 120 for line in PROTOCOLS.describe().values())


@each
def test_facts_are_plain_json_and_the_same_every_time(name: str, keys: dict[str, Any]) -> None:
    first, second = build(name, keys), build(name, keys)
    before = first.facts()
    first.request([picture(0)])
    assert json.loads(json.dumps(before)) == json.loads(json.dumps(first.facts())) == second.facts()
    assert before["protocol"] == name
    assert before["url"] == first.endpoint.url
    changed = {**keys, "url": keys.get("url", "http://h/x").replace("http://h", "http://other")}
    assert build(name, changed).facts() != before


@each
def test_headers_that_choose_what_answers_are_facts_and_credentials_are_not(name: str, keys: dict[str, Any]) -> None:
    bare = build(name, keys).facts()
    secret = {"Authorization": "Bearer ${KEY}", "X-Project": "${PROJECT}-1"}
    assert build(name, {**keys, "headers": secret}).facts() == bare
    blue, green = ({**secret, "Azureml-Model-Deployment": color} for color in ("blue", "green"))
    result = build(name, {**keys, "headers": blue}).facts()
    assert result == {**bare, "headers": {"azureml-model-deployment": "blue"}}
    assert build(name, {**keys, "headers": green}).facts() != result


@each
def test_requests_are_made_of_what_is_shown_and_nothing_else(name: str, keys: dict[str, Any]) -> None:
    protocol = build(name, keys)
    sizes = [count for count in (1, 2) if count <= (protocol.max_batch or 2)]
    for count in sizes:
        batch = [picture(seed) for seed in range(count)]
        request = protocol.request(batch)
        assert request.method == "POST"
        assert request.url.startswith("http://h/")
        assert "content-type" in {key.lower() for key in request.headers}
        assert not {"authorization", "content-length", "host"} & {key.lower() for key in request.headers}
        again = build(name, keys).request(batch)
        assert (again.body, again.headers) == (request.body, request.headers)
        for place in range(count):  # every image counts
            other = [picture(9) if index == place else image for index, image in enumerate(batch)]
            assert protocol.request(other).body != request.body
    if len(sizes) == 2:
        assert protocol.request([picture(1), picture(0)]).body != protocol.request([picture(0), picture(1)]).body


@each
def test_options_that_are_unknown_are_refused(name: str, keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        build(name, {**keys, "options": {**keys.get("options", {}), "nonsense": 1}})


# Anything may come back --------------------------------------------------------------------------------------------

WORDS = ["outputs", "predictions", "error", "label", "shape", "data", "a", "choices", "content", "FP32", "BYTES", "A"]
LEAVES = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
LEAVES |= st.sampled_from([10**400, -(2**70), "0.5:1:a:b", "nan", "1" * 5000, "\x00"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=8,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of a JSON value, its own first."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def damaged(value: Any, path: tuple[Any, ...], how: str, new: object) -> Any:
    """A copy in which the part at a path is replaced, left out, or comes twice."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) > 1 or how == "replace" or (how == "twice" and isinstance(copy, dict)):
        copy[path[0]] = damaged(value[path[0]], path[1:], how, new)
    elif how == "twice":
        copy.insert(path[0], copy[path[0]])
    else:
        del copy[path[0]]
    return copy


def check(protocol: Protocol, incoming: Incoming, count: int) -> bool:
    """Reading gives well-formed answers, or a Fault with a reason for a person; says whether it is answers."""
    raised = None
    results: list[Any] = []
    try:
        results = protocol.read(incoming, count)
    except Fault as fault:
        raised = fault
    if raised is not None:
        assert raised.kind is FaultKind.GARBLED or raised.reason.startswith("the endpoint says: ")
        assert 10 < len(raised.reason) < 600
        assert raised.reason.isprintable()
        assert raised.incoming is incoming
        return False
    assert len(results) == count
    for item in results:
        check_item(item)
    return True


def check_item(item: object) -> None:
    if isinstance(item, np.ndarray):
        assert item.dtype == np.float64
        assert item.ndim == 1
        assert len(item) > 1
        assert np.isfinite(item).all()
    elif isinstance(item, dict):
        assert all(type(key) is str and np.isfinite(value) for key, value in item.items())
    else:
        assert isinstance(item, str | ItemFault)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keys", "good"), CASES, ids=IDS)
@given(data=st.data())
def test_whatever_is_damaged_in_an_answer_only_faults_are_raised(
    name: str, keys: dict[str, Any], good: object, data: st.DataObject
) -> None:
    protocol = build(name, keys)
    assert check(protocol, Incoming(200, {}, json.dumps(good).encode()), 1)
    path, how = data.draw(st.sampled_from(places(good))), data.draw(st.sampled_from(["replace", "twice", "less"]))
    content = json.dumps(damaged(good, path, how, data.draw(VALUES))).encode()
    tail = data.draw(st.binary(max_size=12))
    check(protocol, Incoming(200, {}, content), data.draw(st.integers(1, protocol.max_batch or 2)))
    check(protocol, Incoming(200, {"inference-header-content-length": str(len(content))}, content + tail), 1)


@each
@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"error": ""}', b"[" * 90 + b"]" * 90],
    ids=["empty", "null", "list", "bytes", "deep", "digits", "error", "nested"],
)
def test_whatever_else_comes_back_only_faults_are_raised(name: str, keys: dict[str, Any], content: bytes) -> None:
    protocol = build(name, keys)
    check(protocol, Incoming(200, {}, content), 1)
    with pytest.raises(Fault):
        protocol.read(Incoming(200, {}, content), 1)
    wrapped = b'{"outputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": ' + b"[" * 90 + b"]" * 90 + b"}]}"
    check(protocol, Incoming(200, {}, wrapped), 1)


def test_the_check_sees_what_is_wrong() -> None:
    class Wrong(Protocol):
        """Raises or answers what it must not."""

        answer: Any = None

        def request(self, pictures: Any) -> Any:
            return None

        def read(self, incoming: Incoming, count: int) -> list[Any]:
            if isinstance(self.answer, Exception):
                raise self.answer
            return [self.answer]

    protocol = Wrong(Endpoint("http://h", "wrong"))
    wrongs = [np.array([1.0]), np.array([1.0, np.nan]), {"a": np.inf}, {1: 1.0}, 3, Fault(FaultKind.GARBLED, "no")]
    for wrong in [*wrongs, KeyError("a"), np.zeros((2, 2)), np.zeros(2, np.float32)]:
        protocol.answer = wrong
        with pytest.raises((AssertionError, KeyError)):
            check(protocol, Incoming(200, {}, b""), 1)
