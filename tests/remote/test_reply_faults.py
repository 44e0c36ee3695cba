"""What statuses and headers of replies mean."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given, strategies as st

from pixprompt.remote.calls.faults import excerpt, fault_of, retry_after
from pixprompt.remote.messages import FaultKind, Incoming

NOW = 1_700_000_000.0
KINDS = {
    FaultKind.THROTTLED: [429],
    FaultKind.BUSY: [408, 425, 500, 501, 502, 503, 504, 507, 529, 599],
    FaultKind.REFUSED: [300, 301, 304, 400, 401, 402, 403, 404, 405, 409, 413, 415, 418, 422, 499],
    FaultKind.LOST: [101, 102],
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in KINDS.items() for code in codes])
def test_kinds_by_status(kind: FaultKind, code: int) -> None:
    fault = fault_of(Incoming(code, {}, b"why"), NOW)
    assert fault is not None
    assert (fault.kind, fault.retry_after) == (kind, None)
    assert fault.reason.startswith(f"HTTP {code}")
    assert fault.reason.endswith(": why")
    assert fault.incoming is not None


@given(st.integers(200, 299))
def test_every_2xx_is_left_to_the_protocol(code: int) -> None:
    assert fault_of(Incoming(code, {"retry-after": "3"}, b'{"error": 1}'), NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        # The endpoint's clock is an hour ahead, and says so.
        (
            {"retry-after": formatdate(NOW + 3630, usegmt=True), "date": formatdate(NOW + 3600, usegmt=True)},
            30.0,
        ),
        ({"retry-after": "86400"}, 120.0),
        ({"retry-after": formatdate(NOW + 86400, usegmt=True)}, 120.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset": str(NOW + 20)}, 20.0),
        ({"x-ratelimit-reset": "1m2s"}, 62.0),
        ({"x-ratelimit-reset": "350ms"}, 0.35),
        ({"ratelimit": "limit=10, remaining=0, reset=50"}, 50.0),
        ({"ratelimit": '"default";r=0;t=8'}, 8.0),
        ({"retry-after": "soon", "ratelimit-reset": "4"}, 4.0),
    ],
)
def test_retry_after_forms(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, NOW, limits=True) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "-3", "soon", "nan", "inf", "1e999", "3 apples", "1s2", "12:00", formatdate(NOW - 5, usegmt=True), "∞"],
)
def test_what_cannot_be_a_wait_is_ignored(text: str) -> None:
    assert retry_after({"retry-after": text}, NOW) is None


@given(st.text())
def test_no_header_breaks_it(text: str) -> None:
    headers = dict.fromkeys(("retry-after", "retry-after-ms", "date", "ratelimit", "x-ratelimit-reset"), text)
    seconds = retry_after(headers, NOW, limits=True)
    assert seconds is None or 0 <= seconds <= 120


def test_rate_limit_headers_count_for_throttles_only() -> None:
    headers = {"x-ratelimit-reset": "9"}
    throttle, busy = (fault_of(Incoming(code, headers, b""), NOW) for code in (429, 500))
    assert throttle is not None
    assert busy is not None
    assert (throttle.retry_after, busy.retry_after) == (9.0, None)


def test_excerpts_are_one_printable_line() -> None:
    assert excerpt(Incoming(500, {}, b"a\r\n  b\x1b[31m\tc")) == "a b [31m c"  # no colors for the terminal
    assert excerpt(Incoming(500, {}, b"x" * 300)) == "x" * 197 + "..."
    assert excerpt(Incoming(500, {}, bytes(range(128, 256)))) == "128 bytes"
    assert excerpt(Incoming(500, {}, b"")) == ""
    trace = b'Traceback (most recent call last):\n  File "model.py", line 1\nValueError: expected 3 channels\n'
    assert excerpt(Incoming(500, {}, trace)) == "ValueError: expected 3 channels"


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (503, {}, b'{"error": "Model a/b is currently loading", "estimated_time": 20.5}', 20.5),
        (503, {"retry-after": "3"}, b'{"estimated_time": 20.5}', 3.0),
        (503, {}, b'{"estimated_time": 1e9}', 120.0),
        (500, {}, b'{"estimated_time": 20.5}', None),
        (503, {}, b'{"estimated_time": -1}', None),
        (503, {}, b'{"estimated_time": NaN}', None),
        (503, {}, b'{"estimated_time": "soon"}', None),
        (503, {}, b'{"estimated_time": true}', None),
        (503, {}, b"[20.5]", None),
        (503, {}, b"[" * 100_000, None),
        (503, {}, b"\xff", None),
    ],
)
def test_a_model_that_is_loaded_says_how_long(
    status: int, headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    fault = fault_of(Incoming(status, headers, body), NOW)
    assert fault is not None
    assert fault.retry_after == seconds
