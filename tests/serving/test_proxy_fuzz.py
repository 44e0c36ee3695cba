"""Whatever is sent to a proxy, it passes or is refused, and the next one is answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from pixprompt.prompt import Committee
from pixprompt.serving.proxy import Proxy

from ..images import make_prompt
from .clients import dial
from .upstream import Upstream, call, post, proxied, upstream

PROMPT = Committee.of(make_prompt())

_KEYS = "name shape datatype data parameters binary_data_size b64 image content type image_url url"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats()
    | st.sampled_from(["image_url", "UINT8", "BYTES", "FP32", "x", "data:image/png;base64,AAAA"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS.split()), inner, max_size=5),
    max_leaves=12,
)
PATHS = st.sampled_from(
    ["/", "/v2/models/m/infer", "/v1/chat/completions", "/v1/models/m:predict", "/v1/models/m:classify"]
)
ENTRY = {"name": "x", "datatype": "FP32", "shape": [1, 3, 2, 2], "data": [0.5] * 12, "parameters": {}}


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def both(behind: Upstream) -> Iterator[tuple[Proxy, Proxy]]:
    with proxied(PROMPT, behind) as open_, proxied(PROMPT, behind, strict=True) as strict:
        yield open_, strict


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    path=PATHS,
    value=st.dictionaries(st.sampled_from(["inputs", "instances", "messages", "parameters", "examples"]), JSON),
)
def test_any_json_passes_or_is_refused(
    both: tuple[Proxy, Proxy], behind: Upstream, path: str, value: dict[str, object]
) -> None:
    body = json.dumps(value).encode()
    assert post(both[0].port, path, body).status == 200
    assert post(both[1].port, path, body).status in (200, 422)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=150)
@given(change=st.dictionaries(st.sampled_from(list(ENTRY)), JSON, min_size=1, max_size=2))
def test_any_change_of_a_good_tensor_passes_or_is_refused(both: tuple[Proxy, Proxy], change: dict[str, object]) -> None:
    body = json.dumps({"inputs": [{**ENTRY, **change}]}).encode()
    assert post(both[0].port, "/v2/models/m/infer", body).status == 200
    assert post(both[1].port, "/v2/models/m/infer", body).status in (200, 422)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(content=st.binary(max_size=60))
def test_any_bytes_on_the_socket_are_answered_or_dropped(both: tuple[Proxy, Proxy], content: bytes) -> None:
    for start in (b"", b"POST / HTTP/1.1\r\nHost: localhost\r\n", b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with dial(both[0].port) as client:
            client.sendall(start + content)
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert call(both[0].port, "GET", "/health").status == 200
