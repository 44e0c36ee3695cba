"""Replies that are made to cost time or memory, or that say two things at once."""

from __future__ import annotations

import itertools
import json
import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import example, given, settings, strategies as st

from pixprompt.core import ConfigError, EndpointError
from pixprompt.remote.http.secrets import Secrets
from pixprompt.remote.messages import Fault, Incoming
from pixprompt.remote.protocol import Declared, Endpoint, Protocol
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
    reason = garbled(protocol, body, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reason == "the reply holds more than 1000000 values"
    assert peak < 1 << 20  # parsed, the first one is 400 MB


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


METADATA = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**20) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["FP32", "UINT8", "BYTES", "m", "images", "AVAILABLE", "binary_tensor_data", "DT_FLOAT"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "datatype", "shape", "parameters", "labels", "extensions", "metadata",
                 "model_version_status", "state", "signature_def", "max_batch_size", "error", "dim", "size"]
            ),
            inner,
        )
    ),
    max_leaves=25,
)  # fmt: skip


@pytest.mark.parametrize("name", ["tf-serving", "v2"])
@settings(max_examples=60)
@given(
    bodies=st.lists(METADATA | st.binary(max_size=60), min_size=1, max_size=4), status=st.sampled_from([200, 404, 503])
)
def test_whatever_a_server_says_about_itself_is_read_or_an_error(name: str, bodies: list[object], status: int) -> None:
    protocol = spoken(name)
    protocol.pause = lambda seconds: None  # type: ignore[attr-defined]  # of those that wait for readiness
    replies = itertools.cycle(bodies)
    outcome: object
    try:
        outcome = protocol.discover(lambda outgoing: answer(next(replies), status))
    except (EndpointError, ConfigError) as error:
        outcome = error
    assert isinstance(outcome, Declared | EndpointError | ConfigError)


SIZES = [1 << 19, pytest.param(16 << 20, marks=pytest.mark.slow)]
SECONDS_PER_BYTE = 8.0 / (16 << 20)
"""The longest reply, 16 MB, is read in a fraction of any deadline that leaves time for sending it."""


def repeated(unit: bytes, size: int) -> bytes:
    return b"[" + unit * (size // len(unit)) + b"0]"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "unit",
    [b"0," + b" " * 15, b"{}," + b" " * 14, b'{"a":0},' + b" " * 30, b'"' + b"\\u0041" * 3 + b'",', b"1" * 4000 + b",",
     b"0." + b"1" * 4000 + b",", b"1e-" + b"0" * 4000 + b"9,", b" ", b"\xf0\x9f\x92\xa9", b"&#0000", b"%41%", b"\\",
     b"sk-abcde" + b"f", b"c2stYWJjZGVmZ2g"],
    ids=["numbers", "objects", "names", "escapes", "integers", "digits", "exponents", "spaces", "letters", "entities",
         "percents", "backslashes", "keys", "base64"],
)  # fmt: skip
def test_the_longest_reply_is_read_in_bounded_time(unit: bytes, size: int) -> None:
    """Hiding keys and parsing count in the time of the thread that does them, whatever else the machine is doing."""
    secrets = Secrets({"Authorization": "Bearer ${KEY}"}, {"KEY": "sk-abcdefghijklmnopqrstuvwxyz0123456789"})
    secrets.fill()
    protocol, body = spoken("json", **ITEMS), repeated(unit, size)
    began = time.thread_time()
    with suppress(Fault):
        protocol.read(secrets.clean(Incoming(200, {}, body)), 1)
    assert time.thread_time() - began < 0.2 + SECONDS_PER_BYTE * size


def test_an_endpoint_that_echoes_a_key_without_end_is_masked_whole() -> None:
    secrets = Secrets({"Authorization": "${KEY}"}, {"KEY": "sk-abcdefghijklmnopqrstuvwxyz0123456789"})
    secrets.fill()
    few, many = (secrets.clean(Incoming(500, {}, b"sk-abcdefg " * count)).body for count in (3, 100_000))
    assert few == b"*** *** *** "
    assert many == b"***"
