"""Credentials come from the environment when a request is sent, and never show up in anything that is written."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ...core import ConfigError
from ...urls import plain_url
from ..messages import Incoming
from .redaction import MASK, Redactor

__all__ = ["Secrets", "check_filling", "check_options", "check_url", "is_key_name", "open_headers", "variables_of"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@\"']*@")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_KEY_WORDS = {
    *("apikey", "auth", "authorization", "authentication", "cookie", "credential", "credentials", "key"),
    *("passwd", "password", "pwd", "secret", "sig", "signature", "token"),
}
_SCHEMES = ("bearer ", "basic ", "token ", "key ")
_LONGEST_LITERAL = 24
"""Characters around a `${NAME}`: "Token token=" is no credential, forty characters are one."""
_FIXED = {"accept-encoding", "connection", "content-encoding", "content-length", "host", "te", "transfer-encoding"}
_SHORTEST_IN_OPTIONS = 8
"""In options, where {"key": "image"} is none."""


class Secrets:
    """Header templates, and the values that they were ever filled with; for any number of threads.

    Args:
        headers: `${NAME}` in a value stands for a variable of the environment.
        environment: Where variables are looked up, each time; None for that of the process.

    Raises:
        ConfigError: A credential stands in a header itself, or a header cannot be sent.
    """

    def __init__(self, headers: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        for name, template in headers.items():
            _check_header(name, template)
        self._headers = dict(headers)
        self._environment = os.environ if environment is None else environment
        self._known: frozenset[str] = frozenset()
        self._redactor = Redactor()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Secrets({self._headers})"

    @property
    def holds_any(self) -> bool:
        """Whether anything comes from the environment."""
        return any(_VARIABLE.search(template) for template in self._headers.values())

    @property
    def longest(self) -> int:
        """Length of the longest text that is hidden, in bytes."""
        return self._redactor.longest

    def fill(self) -> dict[str, str]:
        """Returns the headers with all variables filled in.

        Raises:
            ConfigError: A variable is missing, or its value cannot stand in a header.
        """
        return {name: self._filled(name, template) for name, template in self._headers.items()}

    def redact(self, text: str) -> str:
        """Returns a text without any value that was ever filled in, and without the user-info of URLs."""
        plain = _USER_INFO.sub(rf"\1{MASK.decode()}@", text)
        return self._redactor.clean(plain.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def clean(self, incoming: Incoming) -> Incoming:
        """Returns a reply without any value that was ever filled in."""
        if not self._known:
            return incoming
        body = self._redactor.clean(incoming.body, is_answer=200 <= incoming.status < 300)
        headers = {
            name: self._redactor.clean(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
            for name, value in incoming.headers.items()
        }
        return replace(incoming, headers=headers, body=body)

    def _filled(self, name: str, template: str) -> str:
        return _VARIABLE.sub(lambda match: self._value(match[1], name), template)

    def _value(self, variable: str, header: str) -> str:
        value = self._environment.get(variable, "").strip()
        if not value:
            raise ConfigError(
                f"the header {header} needs the environment variable {variable}, which is not set or empty. Set it."
            )
        if not value.isprintable() or not value.isascii():
            raise ConfigError(
                f"the value of the environment variable {variable} cannot stand in the header {header}: expected one "
                "line of ASCII characters. Is it the key itself?"
            )
        if value not in self._known:
            with self._lock:
                self._known |= {value}
                self._redactor = Redactor(self._known)
        return value


def check_url(url: str) -> None:
    """Makes sure that a URL can be called and holds no credential: URLs end up in logs everywhere.

    Raises:
        ConfigError: It is no URL of HTTP, or holds a user name, a password or what looks like a key.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"a URL of the endpoint cannot be read: {error}. Expected https://host/path.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"expected a URL like https://host/path, got {plain_url(url)!r}.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"the URL {plain_url(url)} holds a user name or a password, and URLs end up in logs. Put them into a "
            "header: Authorization, with ${NAME} for a variable of the environment."
        )
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if is_key_name(name) or name.lower() == "code":  # as Azure Functions call it
            raise ConfigError(
                f"the parameter {name!r} of the URL {plain_url(url)} looks like a credential, and URLs end up in "
                "logs. Put it into a header, with ${NAME} for a variable of the environment."
            )


def check_options(options: Mapping[str, Any]) -> None:
    """Makes sure that no field of a request body that stands in the options holds a credential: options are written.

    Args:
        options: Options of a protocol; the names inside their values are the endpoint's.

    Raises:
        ConfigError: One does, or asks for a variable of the environment, which only headers are filled from.
    """
    for value in options.values():
        _check_fields(value)


def check_filling(name: str) -> None:
    """Makes sure that an option which fills a URL is no credential, by its name.

    Raises:
        ConfigError: It looks like one.
    """
    if is_key_name(name):
        raise _in_sight(name)


def variables_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns variable of the environment -> header that it is sent in."""
    return {variable: name for name, value in headers.items() for variable in _VARIABLE.findall(value)}


def open_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that take nothing from the environment, with names in lower case."""
    return {name.lower(): value for name, value in headers.items() if not _VARIABLE.search(value)}


def _check_header(name: str, template: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or not template.isprintable() or not template.isascii():
        raise ConfigError(f"{name!r} cannot be sent as a header: expected a name and one line of ASCII characters.")
    if name.lower() in _FIXED:
        raise ConfigError(f"the header {name} is set for each request as it must be. Leave it out.")
    literal = _VARIABLE.sub("", template)
    secret = is_key_name(name) or template.lower().startswith(_SCHEMES)
    if secret and (literal == template or len(literal) > _LONGEST_LITERAL or re.search(r"\d", literal)):
        raise ConfigError(
            f"the header {name} holds a credential itself. Put the credential into an environment variable, and "
            f'${{NAME}} in its place, as in "Bearer ${{NAME}}".'
        )


def _check_fields(value: object, name: str = "") -> None:
    inner: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = ((name, item) for item in value)
    elif isinstance(value, str) and is_key_name(name) and _may_be_key(value):
        raise _in_sight(name)
    for key, item in inner:
        _check_fields(item, key)


def _may_be_key(value: str) -> bool:
    is_word = value.startswith("$") and not _VARIABLE.search(value)  # such as $base64, the image
    return len(value) >= _SHORTEST_IN_OPTIONS and " " not in value.strip() and not is_word


def _in_sight(name: str) -> ConfigError:
    return ConfigError(
        f"the option {name!r} looks like a credential, and options are written down. Put it into a header of the "
        "description, with ${NAME} for a variable of the environment; only headers are filled from there."
    )


def is_key_name(name: str) -> bool:
    """Whether a header, an option or a parameter is a credential, by its name."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower())
    return any(word in _KEY_WORDS or word.endswith("apikey") for word in words)
