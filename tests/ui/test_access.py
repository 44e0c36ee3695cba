"""Who may see the page: one browser, with the link, and no other site in it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from pixprompt.ui.access import Access

from .conftest import ORIGIN

pytestmark = pytest.mark.usefixtures("undrawn")
PLACES = ("/", "/run?name=done", "/try", "/picture?run=done&file=preview.png", "/events?run=done", "/nothing")


def test_without_the_link_nothing_is_shown(stranger: tuple[TestClient, Access]) -> None:
    client, _ = stranger
    for place in PLACES:
        answer = client.get(place)
        assert answer.status_code == 401, place
        assert "data-entrance" in answer.text
        assert "done" not in answer.text
    assert client.post("/try?run=done", content=b"x", headers={"origin": ORIGIN}).status_code == 401


def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads(stranger: tuple[TestClient, Access]) -> None:
    client, access = stranger
    for wrong in ("", access.token[:-1], None, [access.token]):
        answer = client.post("/session", json={"token": wrong}, headers={"origin": ORIGIN})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    answer = client.post("/session", json={"token": access.token}, headers={"origin": ORIGIN})
    assert answer.status_code == 204
    words = answer.headers["set-cookie"].lower()
    assert "httponly" in words
    assert "samesite=strict" in words
    assert access.token not in answer.headers["set-cookie"]
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8420"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
    ],
)
def test_other_sites_in_the_same_browser_get_nothing(browser: TestClient, headers: dict[str, str], status: int) -> None:
    assert browser.get("/", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    answer = browser.get("/", headers=headers)
    assert answer.status_code == status
    assert "done" not in answer.text
    assert browser.post("/try?run=done", content=b"x", headers=headers).status_code == status


def test_a_post_says_where_it_comes_from(browser: TestClient) -> None:
    del browser.headers["origin"]
    assert browser.post("/try?run=done", content=b"x").status_code == 403


def test_every_response_forbids_scripts_and_sources_of_others(browser: TestClient) -> None:
    for place in (*PLACES, "/ui.js", "/style.css"):
        headers = browser.get(place).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
