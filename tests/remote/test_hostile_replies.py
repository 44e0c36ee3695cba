"""Replies that are made to cost time or memory, or that say two things at once."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import example, given, strategies as st

from pixprompt.remote.messages import Fault
from pixprompt.remote.protocol import Endpoint, Protocol
from pixprompt.remote.protocols import PROTOCOLS
from pixprompt.remote.protocols.answers import load_json

from .protocol_helpers import answer, garbled

LABELS = ("cat", "dog", "crab")
ITEMS = {"body": {"image": "$base64"}, "items": "concepts", "label": "name", "score": "value"}
MILLIONS = {
    "lists": b"[" + b"[]," * 5_000_000 + b"[]]",
    "numbers": b"[" + b"0," * 7_500_000 + b"0]",
    "objects": b"[" + b"{}," * 5_000_000 + b"{}]",
    "names": b"{" + b",".join(b'"%d":0' % number for number in range(1_200_000)) + b"}",
}


def spoken(name: str, labels: tuple[str, ...] | None = LABELS, **options: object) -> Protocol:
    url = "http://h/v1/models/m:classify" if name == "tf-serving" else "http://h/v2/models/m"
    return PROTOCOLS[name](Endpoint(url, name, labels=labels, options=options))


@pytest.mark.parametrize("body", MILLIONS.values(), ids=MILLIONS)
def test_a_reply_of_millions_of_values_is_refused_before_it_is_parsed(body: bytes) -> None:
    protocol = spoken("json", **ITEMS)
    tracemalloc.start()
    began = time.process_time()
    reason = garbled(protocol, body, 1)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reason == "the reply holds more than 1000000 values"
    assert peak < 1 << 20  # parsed, the first one is 400 MB
    assert seconds < 1


def test_a_large_and_honest_reply_is_read() -> None:
    scores = [[0.001] * 1000] * 64
    assert load_json(json.dumps({"predictions": scores}).encode()) == {"predictions": scores}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_deep_reply_is_refused(text: str) -> None:
    assert garbled(spoken("json", **ITEMS), text.encode(), 1) == "the reply is nested too deeply"


@pytest.mark.parametrize(
    ("protocol", "body", "reason"),
    [
        (
            spoken("json", **ITEMS),
            {"concepts": [{"name": "cat", "value": 0.5}, {"name": "cat", "value": 0.25}]},
            "the label 'cat' comes twice",
        ),
        (
            spoken("json", **ITEMS),
            b'{"concepts": {"cat": 0.5, "cat": 0.25}}',
            "an object of the reply holds the same name twice",
        ),
        (spoken("json", **ITEMS), {"concepts": [{"value": 0.5}]}, "expected a label"),
        (
            spoken("huggingface"),
            [{"label": "cat", "score": 0.5}, {"label": "cat", "score": 0.25}],
            "the label 'cat' comes twice",
        ),
        (
            spoken("huggingface-zero-shot"),
            [{"label": "cat", "score": 0.5}, {"label": "cat", "score": 0.5}],
            "the label 'cat' comes twice",
        ),
        (
            spoken("huggingface-zero-shot"),
            [{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.5}],
            "the answer leaves out 'crab', which was a candidate",
        ),
        (spoken("tf-serving"), {"results": [[["cat", 0.5], ["cat", 0.5]]]}, "the label 'cat' comes twice"),
    ],
)
def test_labels_that_are_doubled_or_missing_are_refused(protocol: Protocol, body: object, reason: str) -> None:
    assert garbled(protocol, body, 1).startswith(reason)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(LABELS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["concepts", "name", "value", "label", "score", "outputs", "data"]), inner)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@given(body=VALUES | st.binary(max_size=200), count=st.integers(1, 3))
@example(body=b"", count=1)
@example(body=b"\xff\xfe", count=2)
@example(body=b"[1e999]", count=1)
@example(body=b'{"outputs": [{"shape": [-1, 2], "data": []}]}', count=1)
@example(body=[[[]]], count=2)
def test_any_reply_is_read_or_a_fault(name: str, body: object, count: int) -> None:
    protocol = spoken(name, **{"json": ITEMS, "openai": {"model": "m"}}.get(name, {}))
    outcome: object
    try:
        outcome = protocol.read(answer(body), count)
    except Fault as fault:
        outcome = fault.reason
    assert isinstance(outcome, list) or (isinstance(outcome, str) and outcome.isprintable())
