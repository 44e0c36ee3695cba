"""What reaches the model through a proxy: for every form of request, to the byte what `apply` makes of the image."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.canvas.encoding import encode_jpeg, encode_png
from pixprompt.prompt import Committee, Prompt
from pixprompt.serving import Request

from ..images import jpeg, make_prompt, picture
from .toy import LENGTH, with_lengths
from .upstream import Upstream, post, proxied, upstream

SIZE = (32, 32)
PROMPT = make_prompt(SIZE, fit="shrink", frame=6, crop_pct=0.875)
FILES = [jpeg(picture(), quality=95), encode_png(np.asarray(picture(20, 70, seed=1)))]
INFER, CHAT, PREDICT = "/v2/models/m/infer", "/v1/chat/completions", "/v1/models/m:predict"


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def port(behind: Upstream) -> Iterator[int]:
    with proxied(Committee.of(PROMPT), behind) as server:
        yield server.port


def applied(content: bytes, prompt: Prompt = PROMPT) -> np.ndarray:
    return np.asarray(prompt.apply(Image.open(io.BytesIO(content))))


def as_file(content: bytes) -> bytes:
    """What `pixprompt apply` writes."""
    return encode_png(applied(content))


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def sent(port: int, behind: Upstream, path: str, body: object, **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = post(port, path, content, Content_Type="application/json", **headers)
    assert (reply.status, json.loads(reply.body)) == (200, {"path": path})
    assert int(reply.headers["x-pixprompt-images"]) > 0
    return behind.last


def test_v2_files_in_json_and_in_bytes(port: int, behind: Upstream) -> None:
    entry = {"name": "images", "datatype": "BYTES", "shape": [2], "data": [text(one) for one in FILES]}
    other = {"name": "threshold", "datatype": "FP32", "shape": [1], "data": [0.25]}
    query = {"id": "7", "inputs": [other, entry], "outputs": [{"name": "scores"}]}
    answer = json.loads(sent(port, behind, INFER, query).body)
    assert [base64.b64decode(one) for one in answer["inputs"][1].pop("data")] == [as_file(one) for one in FILES]
    assert answer == {**query, "inputs": [other, {key: entry[key] for key in ("name", "datatype", "shape")}]}

    raw = with_lengths(FILES)
    entry = {"name": "images", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(raw)}}
    late = {"name": "late", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [entry, late]}).encode()
    request = sent(port, behind, f"{INFER}?a=b", head + raw + b"\0\0\0?", **{LENGTH: str(len(head))})
    length = int(request.headers[LENGTH.lower()])
    expected = with_lengths([as_file(one) for one in FILES])
    assert request.body[length:] == expected + b"\0\0\0?"
    payload = json.loads(request.body[:length])["inputs"]
    assert payload == [{**entry, "parameters": {"binary_data_size": len(expected)}}, late]
    assert (request.path, request.headers["content-length"]) == (f"{INFER}?a=b", str(len(request.body)))


@pytest.mark.parametrize("size", [(48, 40), SIZE])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "FP32", "FP16"])
def test_v2_numbers_in_json_and_in_bytes(
    datatype: str, first: bool, size: tuple[int, int], port: int, behind: Upstream
) -> None:
    """An image of the canvas's own size was cropped already: it is not cropped twice."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    cropped = replace(PROMPT, canvas=replace(PROMPT.canvas, crop_pct=1.0)) if size == SIZE else PROMPT
    prompted = np.stack([cropped.apply(one) for one in pixels])
    kind = {"UINT8": "u1", "INT32": "<i4", "FP32": "<f4", "FP16": "<f2"}[datatype]

    def numbers(images: np.ndarray) -> np.ndarray:
        values = images if np.dtype(kind).kind in "iu" else images.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if first else values).astype(kind)

    numbers_sent, expected = numbers(pixels), numbers(prompted)
    entry: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": list(numbers_sent.shape)}
    for data in (numbers_sent.ravel().tolist(), numbers_sent.tolist()):
        (entry_sent,) = json.loads(sent(port, behind, INFER, {"inputs": [{**entry, "data": data}]}).body)["inputs"]
        assert entry_sent["shape"] == list(expected.shape)
        np.testing.assert_array_equal(np.array(entry_sent["data"], np.float32).astype(kind), expected.ravel())
    head = json.dumps({"inputs": [{**entry, "parameters": {"binary_data_size": numbers_sent.nbytes}}]}).encode()
    request = sent(port, behind, INFER, head + numbers_sent.tobytes(), **{LENGTH: str(len(head))})
    assert request.body[int(request.headers[LENGTH.lower()]) :] == expected.tobytes()


def test_chat_with_images_among_other_parts(port: int, behind: Upstream) -> None:
    url = f"data:image/jpeg;base64,{text(FILES[0])}"
    remote = {"type": "image_url", "image_url": {"url": "https://elsewhere/a.png"}}
    user = [
        {"type": "text", "text": "Which é?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{text(FILES[1])}"},
        remote,
    ]
    request = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": user}],
    }
    payload = json.loads(sent(port, behind, CHAT, request).body)
    parts = payload["messages"][1]["content"]
    start = "data:image/png;base64,"
    assert parts[1] == {"type": "image_url", "image_url": {"url": start + text(as_file(FILES[0])), "detail": "low"}}
    assert parts[2] == {"type": "image_url", "image_url": start + text(as_file(FILES[1]))}
    assert (parts[0], parts[3]) == (user[0], remote)
    assert (payload["model"], payload["messages"][0]) == (request["model"], request["messages"][0])  # type: ignore[index]


def test_hugging_face_as_a_body_and_in_json(port: int, behind: Upstream) -> None:
    for kind in ("image/jpeg", "application/octet-stream"):
        reply = post(port, "/models/vit", FILES[0], Content_Type=kind)
        assert (reply.status, reply.headers["x-pixprompt-images"]) == (200, "1")
        assert (behind.last.body, behind.last.headers["content-type"]) == (as_file(FILES[0]), "image/png")
    parameters = {"top_k": 3, "function_to_apply": "none"}
    payload = json.loads(sent(port, behind, "/", {"inputs": text(FILES[1]), "parameters": parameters}).body)
    assert payload == {"inputs": text(as_file(FILES[1])), "parameters": parameters}
    payload = json.loads(sent(port, behind, "/", {"inputs": {"image": text(FILES[1]), "candidates": ["a"]}}).body)
    assert payload == {"inputs": {"image": text(as_file(FILES[1])), "candidates": ["a"]}}


@pytest.mark.parametrize("shape", ["row", "named row", "column", "named column", "classify"])
def test_tensorflow_serving_with_files(shape: str, port: int, behind: Upstream) -> None:
    def body(files: list[bytes]) -> dict[str, Any]:
        values = [{"b64": text(one)} for one in files]
        return {
            "row": {"instances": values},
            "named row": {"instances": [{"image_bytes": value, "key": "k"} for value in values], "signature_name": "s"},
            "column": {"inputs": values},
            "named column": {"inputs": {"image_bytes": values, "keys": [1.5, 2.5]}},
            "classify": {"examples": [{"image/encoded": value} for value in values]},
        }[shape]

    path = "/v1/models/m/versions/2:classify" if shape == "classify" else PREDICT
    assert json.loads(sent(port, behind, path, body(FILES)).body) == body([as_file(one) for one in FILES])


@pytest.mark.parametrize("whole", [True, False])
def test_tensorflow_serving_with_numbers(whole: bool, port: int, behind: Upstream) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    prompted = np.stack([PROMPT.apply(one) for one in pixels])

    def body(images: np.ndarray) -> list[dict[str, Any]]:
        rows = images if whole else images.astype(np.float32) / np.float32(255)
        turned = rows.transpose(0, 3, 1, 2)
        named = [{"x": rows[0].tolist(), "weights": [1.0, 2.0]}, {"x": turned[1].tolist(), "weights": [3.0]}]
        return [{"instances": rows.tolist()}, {"instances": named}, {"inputs": {"x": turned.tolist()}}]

    for request, expected in zip(body(pixels), body(prompted), strict=True):
        payload = json.loads(sent(port, behind, PREDICT, request).body)
        assert rounded(payload) == rounded(expected)


def rounded(value: Any) -> Any:
    """JSON with every number with a point as the float32 that it is read as; whole numbers stay whole."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return repr(float(np.float32(value))) if isinstance(value, float) else repr(value)


def test_other_ranges_of_numbers_and_other_encodings(behind: Upstream) -> None:
    statistics = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    prompted = replace(PROMPT, canvas=replace(PROMPT.canvas, crop_pct=1.0)).apply(pixels[0])

    def normalised(image: np.ndarray) -> np.ndarray:
        unit = image.astype(np.float32) / np.float32(255)
        mean, std = (np.array(statistics[name], np.float32) for name in ("mean", "std"))
        return ((unit - mean) / std).transpose(2, 0, 1)[None].astype("<f4")

    numbers_sent = normalised(pixels[0])
    entry = {"name": "x", "datatype": "FP32", "shape": list(numbers_sent.shape), "data": numbers_sent.ravel().tolist()}
    with proxied(Committee.of(PROMPT), behind, value_range=statistics, encoding="jpeg") as server:
        (inputs,) = json.loads(sent(server.port, behind, INFER, {"inputs": [entry]}).body)["inputs"]
        np.testing.assert_array_equal(np.array(inputs["data"], np.float32), normalised(prompted).ravel())
        post(server.port, "/", FILES[0])
        assert (behind.last.body, behind.last.headers["content-type"]) == (encode_jpeg(applied(FILES[0])), "image/jpeg")


def test_a_prompt_with_turns_and_tones_is_applied_whole(behind: Upstream) -> None:
    prompt = make_prompt((20, 24), blend="add", flip=True, rotation=90, resample="nearest", aspect="squash")
    assert isinstance(prompt.canvas, Canvas)
    with proxied(Committee.of(prompt), behind) as server:
        post(server.port, "/", FILES[0])
    assert behind.last.body == encode_png(applied(FILES[0], prompt))
