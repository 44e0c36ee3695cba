"""The official clients of other programs, unchanged, through a proxy; Triton and MLServer behind it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest

from pixprompt.canvas import Canvas
from pixprompt.canvas.encoding import encode_png
from pixprompt.ledger.summary import read_ledger
from pixprompt.prompt import Committee, Prompt
from pixprompt.serving import Request, Response
from pixprompt.serving.proxy import Proxy, ProxyOptions

from ..serving.upstream import as_json, proxied, upstream
from .asking import make_pixels, right
from .served.linear import SIDE

pytestmark = [pytest.mark.peers, pytest.mark.slow]

KEY = "sk-abcdefghijklmnop-0123456789"


def make_prompt() -> Prompt:
    rgba = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    rgba[4:-4, 4:-4] = 0
    template = {"name": "padding", "params": {"size": 4}}
    return Prompt(rgba=rgba, canvas=Canvas((SIDE, SIDE)), blend="add", delta_scale=0.5, template=template)


PROMPT = make_prompt()
PIXELS = make_pixels(3)


def prompted(pixels: npt.NDArray[np.uint8] = PIXELS) -> npt.NDArray[np.uint8]:
    return np.stack([PROMPT.apply(one) for one in pixels])


def unit(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


# OpenAI --------------------------------------------------------------------------------------------------------------


def chat_reply(request: Request) -> Response:
    """Says the SHA-256 of the images that came, as a whole or word by word."""
    body = json.loads(request.body)
    parts = [part for message in body["messages"] for part in message["content"] if part["type"] == "image_url"]
    text = " ".join(part["image_url"]["url"][-40:] for part in parts)
    common = {"id": "c", "created": 0, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return as_json({**common, "object": "chat.completion", "choices": [choice]})
    events = [
        {**common, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]}
        for word in text.split(" ")
    ]
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
    return Response(200, "".join(lines).encode(), {"Content-Type": "text/event-stream"})


def test_the_client_of_openai_whole_and_as_a_stream(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(content).decode()}"}}
        for content in map(encode_png, PIXELS)
    ]
    message = {"role": "user", "content": [{"type": "text", "text": "What are these?"}, *parts]}
    expected = [base64.b64encode(encode_png(one)).decode()[-40:] for one in prompted()]
    with (
        upstream(chat_reply) as behind,
        proxied(Committee.of(PROMPT), behind, ledger=tmp_path / "l", strict=True) as proxy,
        openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key=KEY, max_retries=0) as client,
    ):
        reply = client.chat.completions.create(model="m", messages=[message])
        assert reply.choices[0].message.content.split(" ") == expected
        stream = client.chat.completions.create(model="m", messages=[message], stream=True)
        assert [chunk.choices[0].delta.content for chunk in stream] == expected
        assert behind.last.headers["authorization"] == f"Bearer {KEY}"
    assert read_ledger(tmp_path / "l")["queries"] == 2 * len(PIXELS)
    assert KEY.encode() not in (tmp_path / "l").read_bytes()


# Hugging Face --------------------------------------------------------------------------------------------------------


def test_the_client_of_hugging_face_with_and_without_parameters() -> None:
    hub = pytest.importorskip("huggingface_hub")

    def answer(request: Request) -> Response:
        body = request.body
        content = base64.b64decode(json.loads(body)["inputs"]) if body[:1] == b"{" else body
        return as_json([{"label": "cat", "score": 0.75, "is_prompted": content == encode_png(prompted()[0])}])

    with upstream(answer) as behind, proxied(Committee.of(PROMPT), behind, path="/models/vit", strict=True) as proxy:
        client = hub.InferenceClient(model=proxy.origin, token=KEY)
        for more in ({}, {"top_k": 3}):
            (result,) = client.image_classification(encode_png(PIXELS[0]), **more)
            assert (result.label, result.score) == ("cat", 0.75)
            assert result["is_prompted"]
        assert behind.last.path == "/models/vit"


# Triton and MLServer -------------------------------------------------------------------------------------------------


def proxy_before(url: str, **options: object) -> Proxy:
    parts = urlsplit(url)
    return Proxy(Committee.of(PROMPT), f"{parts.scheme}://{parts.netloc}", ProxyOptions(strict=True, **options))  # type: ignore[arg-type]


@pytest.fixture
def triton_proxy(triton_url: str, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_before(triton_url, ledger=tmp_path / "l") as proxy:
        yield proxy


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["linear", "bytes"])
def test_the_client_of_triton_with_numbers(name: str, binary: bool, triton_proxy: Proxy, tmp_path: Path) -> None:
    tritonclient = pytest.importorskip("tritonclient.http")
    pixels = unit(PIXELS) if name == "linear" else PIXELS
    client = tritonclient.InferenceServerClient(urlsplit(triton_proxy.origin).netloc)
    assert client.is_server_live()
    assert client.is_model_ready(name)
    entry = tritonclient.InferInput("images", list(pixels.shape), "FP32" if name == "linear" else "UINT8")
    entry.set_data_from_numpy(pixels, binary_data=binary)
    expected = tritonclient.InferRequestedOutput("scores", binary_data=binary)
    result = client.infer(name, [entry], outputs=[expected]).as_numpy("scores")
    np.testing.assert_array_equal(result, right(prompted()))
    assert (result != right(PIXELS)).any()
    client.close()
    assert read_ledger(tmp_path / "l")["answers"] == len(PIXELS)


def test_the_client_of_triton_with_files_and_its_best_classes(triton_proxy: Proxy) -> None:
    tritonclient = pytest.importorskip("tritonclient.http")
    client = tritonclient.InferenceServerClient(urlsplit(triton_proxy.origin).netloc)
    entry = tritonclient.InferInput("images", [len(PIXELS), 1], "BYTES")
    entry.set_data_from_numpy(np.array([[encode_png(one)] for one in PIXELS], dtype=object))
    result = client.infer("files", [entry]).as_numpy("scores")
    np.testing.assert_array_equal(result, right(prompted()))
    best = client.infer("files", [entry], outputs=[tritonclient.InferRequestedOutput("scores", class_count=1)])
    tops = [int(text.decode().split(":")[1]) for text in best.as_numpy("scores").ravel()]
    assert tops == right(prompted()).argmax(1).tolist()
    client.close()


def test_the_client_of_triton_before_mlserver(mlserver_url: str) -> None:
    tritonclient = pytest.importorskip("tritonclient.http")
    with proxy_before(mlserver_url) as proxy:
        client = tritonclient.InferenceServerClient(urlsplit(proxy.origin).netloc)
        pixels = unit(PIXELS)
        entry = tritonclient.InferInput("images", list(pixels.shape), "FP32")
        entry.set_data_from_numpy(pixels, binary_data=False)
        expected = tritonclient.InferRequestedOutput("scores", binary_data=False)
        result = client.infer("linear", [entry], outputs=[expected]).as_numpy("scores")
        np.testing.assert_allclose(result, right(prompted()), rtol=1e-6)
        client.close()
