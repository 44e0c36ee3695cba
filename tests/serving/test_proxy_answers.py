"""Answers in the user's classes: a proxy makes of scores what the output transform of the prompt makes of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, NamedSpec
from pixprompt.outputs import make_output
from pixprompt.outputs.saved import SavedOutput
from pixprompt.prompt import Committee
from pixprompt.serving import Request, Response
from pixprompt.serving.proxy import Proxy, ProxyOptions

from ..images import jpeg, make_prompt, picture
from .toy import LENGTH, error_of, with_lengths
from .upstream import as_json, post, proxied, upstream

CLASSES = ("zero", "eins", "zwölf")
LABELS = ("a", "b", "c", "d", "e")
LOGITS = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
FILE = jpeg(picture())
TEXT = base64.b64encode(FILE).decode()
V2 = json.dumps({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [2], "data": [TEXT, TEXT]}]}).encode()
ROWS = json.dumps({"instances": [{"b64": TEXT}, {"b64": TEXT}]}).encode()


def spec_of(answer: AnswerKind, labels: tuple[str, ...] | None = None) -> ModelSpec:
    kind = ModelSpec if labels is None else NamedSpec  # a file knows the names of a model that answers with them
    return kind("m", (32, 32), 5, answer=answer, labels=labels)


def prompt_for(spec: ModelSpec) -> Committee:
    output = make_output("first-k", classes=CLASSES, spec=spec)
    prompt = make_prompt()
    return Committee(Committee.of(prompt).pages, output=output.to_json(), model="m")


def expected(rows: np.ndarray, spec: ModelSpec) -> np.ndarray:
    logits = SavedOutput(prompt_for(spec).output, spec)(rows.astype(np.float32)).astype(np.float64)
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def test_v2_answers_in_json_and_in_bytes() -> None:
    spec = spec_of(AnswerKind.LOGITS)
    entry: dict[str, Any] = {"name": "scores", "datatype": "FP32", "shape": [2, 5]}
    head = json.dumps({"model_name": "m", "outputs": [{**entry, "parameters": {"binary_data_size": 40}}]}).encode()
    answers = [
        as_json({"model_name": "m", "id": "7", "outputs": [{**entry, "data": LOGITS.ravel().tolist()}]}, Via="x"),
        Response(200, head + LOGITS.tobytes(), {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}),
    ]
    target = expected(LOGITS, spec)
    labels = [CLASSES[index] for index in target.argmax(1)]
    with (
        upstream(lambda request: answers.pop(0)) as behind,
        proxied(prompt_for(spec), behind, map_answers=True) as proxy,
    ):
        reply = post(proxy.port, "/v2/models/m/infer", V2)
        payload = json.loads(reply.body)
        assert (payload["model_name"], payload["id"], reply.headers["via"]) == ("m", "7", "x")
        assert json.loads(payload["parameters"]["labels"]) == list(CLASSES)
        scores, label = payload["outputs"]
        assert (scores["name"], scores["shape"], label["name"], label["data"]) == ("scores", [2, 3], "label", labels)
        np.testing.assert_allclose(np.reshape(scores["data"], (2, 3)), target, atol=1e-6)
        reply = post(proxy.port, "/v2/models/m/infer", V2)
        tail = reply.body[int(reply.headers[LENGTH.lower()]) :]
        np.testing.assert_allclose(np.frombuffer(tail[:24], "<f4").reshape(2, 3), target, atol=1e-6)
        assert tail[24:] == with_lengths([label.encode() for label in labels])


@pytest.mark.parametrize("form", ["predict", "column", "classify"])
def test_answers_of_tensorflow_serving(form: str) -> None:
    spec = spec_of(AnswerKind.LOGITS, LABELS if form == "classify" else None)
    pairs = [[[label, value] for label, value in zip(LABELS, row, strict=True)] for row in LOGITS.tolist()]
    key, keys = ("results", "examples") if form == "classify" else ("predictions", "instances")
    key, keys = ("outputs", "inputs") if form == "column" else (key, keys)
    body = ROWS.replace(b"instances", keys.encode())
    path = f"/v1/models/m:{'classify' if form == 'classify' else 'predict'}"
    answer = {key: pairs if form == "classify" else LOGITS.tolist()}
    with (
        upstream(lambda request: as_json(answer)) as behind,
        proxied(prompt_for(spec), behind, map_answers=True) as proxy,
    ):
        payload = json.loads(post(proxy.port, path, body).body)
    target = expected(LOGITS, spec)
    if form == "classify":
        assert [row[0][0] for row in payload[key]] == [CLASSES[index] for index in target.argmax(1)]
        payload[key] = [[dict(row)[name] for name in CLASSES] for row in payload[key]]
    else:
        assert payload["labels"] == list(CLASSES)
    np.testing.assert_allclose(payload[key], target, atol=1e-6)


@pytest.mark.parametrize("body", [FILE, json.dumps({"inputs": TEXT, "parameters": {"top_k": 2}}).encode()])
def test_hugging_face_is_asked_for_every_label(body: bytes) -> None:
    spec = spec_of(AnswerKind.PROBABILITIES, LABELS)
    row = np.array([[0.1, 0.5, 0.2, 0.05, 0.15]])

    def answer(request: Request) -> Response:
        target = json.loads(request.body)["parameters"]["top_k"]
        pairs = sorted(zip(LABELS, row[0], strict=True), key=lambda pair: -pair[1])[:target]
        return as_json([{"label": label, "score": score} for label, score in pairs])

    with upstream(answer) as behind, proxied(prompt_for(spec), behind, map_answers=True) as proxy:
        payload = json.loads(post(proxy.port, "/", body).body)
    target = expected(row, spec)[0]
    assert [one["label"] for one in payload] == [CLASSES[index] for index in np.argsort(-target)]
    assert {one["label"]: one["score"] for one in payload} == pytest.approx(dict(zip(CLASSES, target, strict=True)))


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"predictions": [[0.5, 0.5]]}),
        as_json({"predictions": [[["a", 0.5], ["b", 0.5]]] * 2}),
        as_json({"predictions": [[0.5, 0.5], [0.5, 0.5]]}),
        as_json({"error": "loading"}),
        Response(200, b"what", {}),
    ],
)
def test_what_cannot_be_mapped_passes_or_is_an_error(answer: Response) -> None:
    prompt = prompt_for(spec_of(AnswerKind.LOGITS))
    with upstream(lambda request: answer) as behind:
        with proxied(prompt, behind, map_answers=True) as proxy:
            assert post(proxy.port, "/v1/models/m:predict", ROWS).body == answer.body
        with proxied(prompt, behind, map_answers=True, strict=True) as proxy:
            reply = post(proxy.port, "/v1/models/m:predict", ROWS)
            assert reply.status == 502
            assert "cannot be mapped" in error_of(reply)
            chat = b'{"messages": [{"role": "user", "content": "hello"}]}'
            assert post(proxy.port, "/v1/chat/completions", chat).status == 422  # before it costs anything


def test_a_prompt_that_does_not_say_how_maps_nothing() -> None:
    for output in ({}, {"kind": "x", "classes": ["a"], "num_outputs": 5, "answer": "embeddings"}):
        prompt = Committee(Committee.of(make_prompt()).pages, output=output)
        with pytest.raises(ConfigError, match="leave out --map-answers"):
            Proxy(prompt, "http://127.0.0.1:1", ProxyOptions(map_answers=True))
