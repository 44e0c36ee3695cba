"""Requests and responses, without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_VALUES", "Request", "RequestError", "Response", "json_response", "read_json"]

MAX_VALUES = 1_500_000
"""The most values in the JSON of a request: nine images of 224 x 224."""
_LARGE = 100_000


@dataclass(frozen=True)
class Request:
    """One HTTP request that came whole.

    Attributes:
        path: As it was sent, percent-encoded.
        headers: With names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """One HTTP response.

    Attributes:
        body: What `headers` describe.
        headers: Content-Type and the like; Content-Length is left to the server.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: The status code, 4xx or 5xx.
        headers: Headers of the response.
    """

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})

    def response(self) -> Response:
        """Returns {"error": reason} with the status."""
        return json_response({"error": self.reason}, self.status, self.headers)


def json_response(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a response whose body is one JSON object."""
    body = json.dumps(value, allow_nan=False).encode()
    return Response(status, body, {"Content-Type": "application/json", **(headers or {})})


def read_json(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RequestError: It is none, holds too many values, or NaN or Infinity, which JSON does not have.
    """
    if body.count(b",") + body.count(b":") > MAX_VALUES:
        raise RequestError(
            413, f"at most {MAX_VALUES} values in JSON; send fewer images, image files, or numbers as bytes."
        )
    try:
        # The parser holds every other thread up until it calls back into Python.
        numbers: dict[str, Any] = {"parse_float": _to_float, "parse_int": _to_int} if len(body) > _LARGE else {}
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, **numbers)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"expected a JSON object in UTF-8: {_short(error)}.") from error
    if not isinstance(value, dict):
        raise RequestError(400, f"expected a JSON object, got {type(value).__name__}.")
    return value


def _to_float(text: str) -> float:
    return float(text)


def _to_int(text: str) -> int:
    return int(text)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _short(error: Exception) -> str:
    # A decoding error would repeat the whole body.
    return "the bytes are no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:100].rstrip(".")
