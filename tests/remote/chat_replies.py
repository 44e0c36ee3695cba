"""A chat model that is asked by letter, and what it may say."""

from __future__ import annotations

import json
import math
from typing import Any

from pixprompt.remote.messages import Outgoing
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.openai import OpenAI

from .protocol_helpers import answer

LABELS = ("cat", "dog", "crab")
MANY = tuple(f"kind {number}" for number in range(27))
API = "http://h/v1"


def chat(known: tuple[str, ...] | None = LABELS, /, *, url: str = API, **options: Any) -> OpenAI:
    return OpenAI(Endpoint(url, "openai", labels=known, options={"model": "m", **options}))


def reply(content: object, logprobs: object = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    message = fields.pop("message", {})
    choice["message"] = {**choice["message"], **message}
    return {"object": "chat.completion", "choices": [{**choice, "logprobs": logprobs, **fields}]}


def tokens(*pairs: tuple[str, float], first: int = 0) -> dict[str, Any]:
    """Log-probabilities as OpenAI nests them, of probabilities."""
    listed = [{"token": token, "logprob": math.log(p) if p else -9999.0, "bytes": None} for token, p in pairs]
    return {"content": [{**listed[first], "top_logprobs": listed}], "refusal": None}


def body_of(outgoing: Outgoing) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(outgoing.body)
    return body


def scores_of(protocol: OpenAI, body: object) -> dict[str, float]:
    (result,) = protocol.read(answer(body), 1)
    assert isinstance(result, dict)
    return result
