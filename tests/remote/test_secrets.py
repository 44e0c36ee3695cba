"""Credentials: filled in from the environment, never written, never in a URL."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings, strategies as st

from pixprompt.core import ConfigError
from pixprompt.remote.http.secrets import Secrets, check_url
from pixprompt.remote.messages import Incoming
from pixprompt.urls import plain_url

KEY = "sk-test-0123456789abcdef"


def test_headers_are_filled_from_the_environment_each_time() -> None:
    environment = {"KEY": "first", "ORG": "own"}
    secrets = Secrets({"Authorization": "Bearer ${KEY}", "X-Org": "${ORG}-1", "Accept": "a/b"}, environment)
    assert secrets.fill() == {"Authorization": "Bearer first", "X-Org": "own-1", "Accept": "a/b"}
    environment["KEY"] = " second\n"  # as `export KEY="$(cat file)"` in some shells
    assert secrets.fill()["Authorization"] == "Bearer second"
    assert secrets.redact("first and second") == "*** and ***"  # the old one stays secret
    assert "first" not in repr(secrets)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets({"X-Api-Key": "${PIXPROMPT_TEST_KEY}"})
    with pytest.raises(ConfigError, match="X-Api-Key needs the environment variable PIXPROMPT_TEST_KEY"):
        secrets.fill()
    monkeypatch.setenv("PIXPROMPT_TEST_KEY", KEY)
    assert secrets.fill() == {"X-Api-Key": KEY}


@pytest.mark.parametrize("value", ["a\nb", "kéy", "a\x00b"])
def test_a_value_that_no_header_can_hold_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError, match="variable KEY cannot stand in the header X-Key") as error:
        Secrets({"X-Key": "${KEY}"}, {"KEY": value}).fill()
    assert value not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("X-API-Key", KEY),
        ("x-apikey", "abc"),
        ("Prediction-Key", "abc"),
        ("Ocp-Apim-Subscription-Key", "abc"),
        ("X-Auth-Token", "abc"),
        ("Cookie", "session=abc"),
        ("Authorization", f"Bearer {KEY}${{KEY}}"),  # a template beside it does not help
        ("X-Other", f"Bearer {KEY}"),
    ],
)
def test_a_credential_in_the_header_itself_is_refused_without_being_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match="environment variable") as error:
        Secrets({name: value})
    assert value.split()[-1] not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer ${A}"),
        ("Authorization", "Token token=${A}"),
        ("Cookie", "session=${A}"),
        ("X-Max-Tokens", "5"),
        ("Accept", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("User-Agent", "keyboard 3"),
    ],
)
def test_other_headers_are_fine(name: str, value: str) -> None:
    assert Secrets({name: value}, {"A": "abcdef"}).fill()[name] == value.replace("${A}", "abcdef")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("a b", "x", "cannot be sent"), ("X-A", "a\r\nX-B: c", "cannot be sent"), ("Host", "x", "Leave it out")],
)
def test_headers_that_break_a_request_are_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Secrets({name: value})


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@host/x",
        f"https://{KEY}@host/x",
        f"https://host/x?api_key={KEY}",
        f"https://host/x?a=1&key={KEY}",
        f"https://host/x?accessToken={KEY}",
        f"https://host/x?X-Amz-Signature={KEY}",
        f"https://host/x?sig={KEY}",
        f"https://host/x?token={KEY}",
        f"https://host/x?code={KEY}",
    ],
)
def test_urls_with_credentials_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(ConfigError, match="URLs end up in logs") as error:
        check_url(url)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "", "https:///x", "https://host:port/x", "http://[::1/x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="https://host/path"):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v2/models/a/infer", "https://h/x?version=3&keyframe=1&country_code=US"]
)
def test_other_urls_are_fine(url: str) -> None:
    check_url(url)


def test_a_plain_url_has_neither_user_nor_query() -> None:
    assert plain_url("https://me:pw@host:8/a/b?key=1#c") == "https://host:8/a/b"
    assert plain_url("https://host?key=1") == "https://host"
    assert plain_url("nonsense?key=1") == "nonsense"


def test_redaction_of_the_forms_in_which_servers_quote_a_key() -> None:
    value = 'Bearer a"b/c+d=' + KEY
    secrets = Secrets({"X-Key": "${KEY}"}, {"KEY": value})
    secrets.fill()
    bare = value.split()[1]
    for form in (value, bare, quote(bare, safe=""), json.dumps(bare), f"<{bare}>"):
        assert KEY not in secrets.redact(f"wrong key {form}!")
    assert secrets.redact("see https://user:pw@proxy:3/x") == "see https://***@proxy:3/x"
    assert secrets.redact("nothing of it") == "nothing of it"


def test_replies_are_cleaned_but_numbers_of_an_answer_stay() -> None:
    secrets = Secrets({"X-Key": "${KEY}", "X-Version": "${VERSION}"}, {"KEY": KEY, "VERSION": "0.25"})
    secrets.fill()
    error = secrets.clean(Incoming(401, {"x-echo": KEY}, f"bad key {KEY}".encode()))
    assert (error.headers, error.body) == ({"x-echo": "***"}, b"bad key ***")
    fine = secrets.clean(Incoming(200, {}, f"[0.251, 0.5] {KEY}".encode(), 2.0))
    assert (fine.body, fine.seconds) == (b"[0.251, 0.5] ***", 2.0)


ECHOES = {
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 after Bearer": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 after user:": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"x{key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "percent": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "percent in part": lambda key: key[:5] + "".join(f"%{ord(char):02x}" for char in key[5:]),
    "JSON escapes": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "HTML": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "two pieces": lambda key: f"{key[:12]} and {key[12:]}",
    "pieces in other words": lambda key: f'{{"prefix": "{key[:10]}", "rest": "{key[10:]}"}}',
    "a piece of the base64": lambda key: base64.b64encode(key.encode()).decode()[5:],
    "a piece of the hex": lambda key: key.encode().hex()[7:],
}


def readable(text: bytes, key: str) -> list[str]:
    """The pieces of a key, of eight characters, that somebody can read out of a text in one of these encodings."""
    pieces = [key[start : start + 8] for start in range(len(key) - 7)]
    words = text.decode()
    faults = [piece for piece in pieces if piece in words]
    faults += [piece for piece in pieces if piece in unquote(words) or piece in html.unescape(words)]
    faults += [piece for piece in pieces if piece.encode().hex() in words.lower()]
    faults += [piece for piece in pieces if "".join(f"\\u{ord(char):04x}" for char in piece) in words]
    for start in range(4):
        code = "".join(re.findall(r"[A-Za-z0-9+/_-]", words))[start:]
        raw = base64.urlsafe_b64decode(code.translate(str.maketrans("+/", "-_"))[: len(code) // 4 * 4])
        faults += [piece for piece in pieces if piece.encode() in raw]
    return faults


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_key_that_is_echoed_in_pieces_or_encoded_is_found(echo: Callable[[str], str], status: int) -> None:
    secrets = Secrets({"Authorization": "Bearer ${KEY}"}, {"KEY": KEY})
    secrets.fill()
    body = echo(KEY).encode()
    assert readable(body, KEY)  # without redaction
    cleaned = secrets.clean(Incoming(status, {"x-echo": echo(KEY)}, body))
    assert not readable(cleaned.body, KEY)
    assert not readable(cleaned.headers["x-echo"].encode(), KEY)


def test_numbers_of_an_answer_that_are_also_in_a_key_stay() -> None:
    secrets = Secrets({"X-Key": "${KEY}"}, {"KEY": "id-0.12345678901-x"})
    secrets.fill()
    body = b'{"scores": [0.12345678901, 0.5]}'
    assert secrets.clean(Incoming(200, {}, body)).body == body


@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=30), st.text(), st.text())
def test_no_value_survives_redaction(value: str, before: str, after: str) -> None:
    secrets = Secrets({"X-Key": "${KEY}"}, {"KEY": value})
    secrets.fill()
    assert value not in secrets.redact(before + value + after).replace("***", "\0")
