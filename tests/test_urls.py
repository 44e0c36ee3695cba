"""What messages show of a URL."""

from __future__ import annotations

import pytest

from pixprompt.core import UnknownName
from pixprompt.models import load_model
from pixprompt.urls import plain_url

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://host/path?key=s3cr3t#s3cr3t", "https://host/path"),
        ("https://user:s3cr3t@host/path", "https://host/path"),
        ("htps://user:s3cr3t@host/path", "htps://host/path"),
        ("https:/user:s3cr3t@host/path", "https:/host/path"),
        ("https//user:s3cr3t@host/path", "host/path"),
        ("user:s3cr3t@host/path", "host/path"),
        ("https://user:s3cr/et?s3cr3t@host/path", "https://host/path"),
        ("https://user:s3cr3t@x@host/path", "https://host/path"),
        ("host/path", "host/path"),
        ("", ""),
    ],
)
def test_no_password_shows_even_where_it_is_mistyped(url: str, text: str) -> None:
    assert plain_url(url) == text


@pytest.mark.parametrize(
    "name", ["htps://user:s3cr3t@host/v2/models/m", "https:/user:s3cr3t@host/m", "user:s3cr3t@h/m"]
)
def test_a_mistyped_url_is_no_model_and_its_password_is_not_echoed(name: str) -> None:
    with pytest.raises(UnknownName) as error:
        load_model(name)
    assert SECRET not in str(error.value)
