"""Credentials: filled in from the environment, never written, never in a URL."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    with pytest.raises(ConfigError, match="variable KEY cannot stand in the header X-Key") as caught:
        Secrets({"X-Key": "${KEY}"}, {"KEY": value}).fill()
    assert value not in str(caught.value)


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
    with pytest.raises(ConfigError, match="environment variable") as caught:
        Secrets({name: value})
    assert value.split()[-1] not in str(caught.value)


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
    with pytest.raises(ConfigError, match="URLs end up in logs") as caught:
        check_url(url)
    assert KEY not in str(caught.value)


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


@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=30), st.text(), st.text())
def test_no_value_survives_redaction(value: str, before: str, after: str) -> None:
    secrets = Secrets({"X-Key": "${KEY}"}, {"KEY": value})
    secrets.fill()
    assert value not in secrets.redact(before + value + after).replace("***", "\0")
