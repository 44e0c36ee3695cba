"""The official client of OpenAI, unchanged, through a proxy to a real server of a small vision-language model."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pixprompt.canvas.encoding import encode_png
from pixprompt.ledger.summary import read_ledger
from pixprompt.prompt import Committee
from pixprompt.serving import Request, Response
from pixprompt.serving.proxy import Proxy, ProxyOptions

from ..serving.upstream import proxied, upstream
from .test_proxy_clients import KEY, PIXELS, PROMPT, prompted

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def data_url(pixels: npt.NDArray[np.uint8]) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(pixels)).decode()}"


def answer_about(origin: str, pixels: npt.NDArray[np.uint8], *, stream: bool = False) -> str:
    """What the model says about one image, in eight words."""
    openai = pytest.importorskip("openai")
    parts = [{"type": "text", "text": "ba na"}, {"type": "image_url", "image_url": {"url": data_url(pixels)}}]
    request: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": parts}]}
    with openai.OpenAI(base_url=f"{origin}/v1", api_key=KEY, max_retries=0) as client:
        if not stream:
            return str(client.chat.completions.create(**request).choices[0].message.content)
        chunks = list(client.chat.completions.create(**request, stream=True))
    assert len(chunks) > 2
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_answers_the_prompted_image(stream: bool, chat_url: str, tmp_path: Path) -> None:
    expected = [answer_about(chat_url, one) for one in prompted()]
    assert all(len(answer.split()) == 8 for answer in expected)
    unprompted = [answer_about(chat_url, one) for one in PIXELS]
    assert all(one != other for one, other in zip(expected, unprompted, strict=True))  # or the check could not fail
    with Proxy(Committee.of(PROMPT), chat_url, ProxyOptions(ledger=tmp_path / "l", strict=True)) as proxy:
        assert [answer_about(proxy.origin, one, stream=stream) for one in PIXELS] == expected
    assert read_ledger(tmp_path / "l")["queries"] == len(PIXELS)
    ledger = (tmp_path / "l").read_bytes()
    assert KEY.encode() not in ledger
    if not stream:
        assert all(answer.encode() in ledger for answer in expected)


@pytest.mark.parametrize("stream", [False, True])
def test_the_bytes_of_the_image_are_those_of_apply(stream: bool, chat_url: str) -> None:
    def forward(request: Request) -> Response:
        headers = {"Content-Type": "application/json"}
        outgoing = urllib.request.Request(chat_url + request.path, request.body, headers)
        with urllib.request.urlopen(outgoing, timeout=60) as reply:
            return Response(reply.status, reply.read(), {"Content-Type": reply.headers["Content-Type"]})

    with upstream(forward) as between, proxied(Committee.of(PROMPT), between, strict=True) as proxy:
        assert answer_about(proxy.origin, PIXELS[0], stream=stream)
        (message,) = json.loads(between.last.body)["messages"]
    assert message["content"][1]["image_url"]["url"] == data_url(prompted()[0])
