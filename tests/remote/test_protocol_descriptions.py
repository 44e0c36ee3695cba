"""Ready descriptions against answers of the recorded shape, and how a URL, a file and options become an Endpoint."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pixprompt.core import AnswerKind, ConfigError, UnknownName
from pixprompt.remote.endpoint_file import DESCRIPTIONS, load_description, read_endpoint
from pixprompt.remote.http.key_hosts import allow
from pixprompt.remote.messages import ItemFault
from pixprompt.remote.protocol import Endpoint, Protocol
from pixprompt.remote.protocols import PROTOCOLS

from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

FILLED: dict[str, dict[str, Any]] = {
    "google-vision": {},
    "clarifai": {},
    "azure-custom-vision": {"resource": "r", "project": "p/1", "iteration": "It 2"},
    "roboflow": {"project": "flowers", "version": 3},
}
ONE, TWO = [picture(0)], [picture(0), picture(1)]


def ready(name: str) -> Protocol:
    endpoint = read_endpoint(None, name, options=FILLED[name])
    return PROTOCOLS[endpoint.protocol](endpoint)


@pytest.mark.parametrize("name", sorted(FILLED))
def test_ready_descriptions_are_whole_and_hold_no_key(name: str) -> None:
    assert set(FILLED) == set(DESCRIPTIONS)
    assert 10 <= len(DESCRIPTIONS.describe()[name]) <= 120
    endpoint = read_endpoint(None, name, options=FILLED[name])
    (value,) = endpoint.headers.values()
    assert "${" in value
    assert endpoint.answer in (AnswerKind.TOP_K, AnswerKind.PROBABILITIES)
    assert (ready(name).max_batch or 99) >= (endpoint.max_batch or 0) > 0
    assert "key" not in endpoint.url.lower()


def test_google_vision() -> None:
    vision = ready("google-vision")
    request = vision.request(TWO)
    assert request.url == "https://vision.googleapis.com/v1/images:annotate"
    for item, image in zip(json.loads(request.body)["requests"], TWO, strict=True):
        assert base64.b64decode(item["image"]["content"]) == image.content
        assert item["features"] == [{"type": "LABEL_DETECTION", "maxResults": 50}]
    cat = {"mid": "/m/01yrx", "description": "Cat: 猫", "score": 0.98, "topicality": 0.9}
    dog = {"mid": "/m/0bt9lr", "description": "Dog", "score": 0.25, "topicality": 0.1}
    failed = {"error": {"code": 3, "message": "Bad image data."}}
    body = {"responses": [{"labelAnnotations": [cat, dog]}, failed, {}, {"error": {"code": 14}}]}
    assert vision.read(answer(body), 4) == [
        {"Cat: 猫": 0.98, "Dog": 0.25},
        ItemFault("the endpoint says: 3 Bad image data.", FaultKind.REFUSED),
        {},  # nothing was found
        ItemFault("the endpoint says: 14", FaultKind.BUSY),
    ]
    assert "expected 2 answers" in garbled(vision, {"responses": [{}]})
    assert "expected answers at responses[*]" in garbled(vision, {})


def test_clarifai() -> None:
    clarifai = ready("clarifai")
    request = clarifai.request(TWO)
    assert (
        request.url == "https://api.clarifai.com/v2/users/clarifai/apps/main/models/general-image-recognition/outputs"
    )
    inputs = json.loads(request.body)["inputs"]
    assert [base64.b64decode(item["data"]["image"]["base64"]) for item in inputs] == [item.content for item in TWO]
    good = {
        "status": {"code": 10000, "description": "Ok"},
        "data": {
            "concepts": [{"id": "ai_1", "name": "cat", "value": 0.75}, {"id": "ai_2", "name": "pet", "value": 0.5}]
        },
    }
    bad = {"status": {"code": 30002, "description": "Failed to download"}, "data": {}}
    body = {"status": {"code": 10010, "description": "Mixed Success"}, "outputs": [bad, good]}
    assert clarifai.read(answer(body), 2) == [
        ItemFault("the endpoint says: 30002 Failed to download"),
        {"cat": 0.75, "pet": 0.5},
    ]
    for code, kind in ((10020, FaultKind.BUSY), (11005, FaultKind.THROTTLED), (11009, FaultKind.REFUSED)):
        error = fault(clarifai, answer({"status": {"code": code, "description": "no"}, "outputs": []}))
        assert (error.kind, error.reason) == (kind, f"the endpoint says: {code} no")
    wrong = {"status": {"code": 10000}, "outputs": [good, {"status": {"code": 10000}, "data": {}}]}
    assert "expected labels with scores at data.concepts" in garbled(clarifai, wrong)


def test_azure_custom_vision() -> None:
    azure = ready("azure-custom-vision")
    request = azure.request(ONE)
    host = "https://r.cognitiveservices.azure.com/customvision/v3.0/Prediction"
    assert request.url == f"{host}/p%2F1/classify/iterations/It%202/image/nostore"
    assert dict(request.headers) == {"Content-Type": "application/octet-stream"}
    assert request.body == ONE[0].content
    tags = [{"probability": 0.75, "tagId": "1", "tagName": "cat", "tagType": "Regular"}]
    tags.append({"probability": 0.25, "tagId": "2", "tagName": "dog", "tagType": "Regular"})
    assert azure.read(answer({"id": "x", "predictions": tags}), 1) == [{"cat": 0.75, "dog": 0.25}]
    assert azure.max_batch == 1


def test_roboflow() -> None:
    roboflow = ready("roboflow")
    request = roboflow.request(ONE)
    assert request.url == "https://serverless.roboflow.com/flowers/3?confidence=0"
    assert dict(request.headers) == {"Content-Type": "application/x-www-form-urlencoded"}
    assert base64.b64decode(request.body, validate=True) == ONE[0].content
    single = [{"class": "rose", "class_id": 0, "confidence": 0.75}, {"class": "tulip", "confidence": 0.25}]
    body = {"time": 0.1, "image": {"width": 2, "height": 3}, "predictions": single, "top": "rose", "confidence": 0.75}
    assert ask(roboflow, ONE, lambda request: answer(body)) == [{"rose": 0.75, "tulip": 0.25}]
    several = {"predictions": {"rose": {"confidence": 0.75}, "red": {"confidence": 0.5}}, "predicted_classes": []}
    assert roboflow.read(answer(several), 1) == [{"rose": 0.75, "red": 0.5}]


# Putting an endpoint together ----------------------------------------------------------------------------------------


def write(folder: Path, value: object) -> str:
    path = folder / "mine.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return str(path)


def test_what_is_given_wins_over_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    allow("TOKEN", "http://host")
    facts: dict[str, Any] = {
        "url": "http://host/v2/models/{name}",
        "encoding": "jpeg",
        "image_size": [32, 48],
        "labels": ["a", "b"],
        "answer": "logits",
        "max_batch": 4,
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "options": {"name": "m", "input": "x", "range": "byte"},
    }
    path = write(tmp_path, facts)
    headers = {"Authorization": "Bearer ${TOKEN}"}
    common: dict[str, Any] = {"headers": headers, "image_size": (32, 48), "labels": ("a", "b"), "max_batch": 4}
    common["answer"] = AnswerKind.LOGITS
    options = {"input": "x", "range": "byte"}
    assert read_endpoint(None, path) == Endpoint("http://host/v2/models/m", "v2", "jpeg", options=options, **common)
    result = read_endpoint(
        "http://other/v1/models/{n}:predict", path, encoding="png", options={"n": "k", "input": "z", "layout": "NHWC"}
    )
    options = {"input": "z", "range": "byte", "layout": "NHWC"}
    assert result == Endpoint("http://other/v1/models/k:predict", "tf-serving", "png", options=options, **common)
    assert read_endpoint(None, path, protocol="json").protocol == "json"
    assert read_endpoint(None, write(tmp_path, {**facts, "image_size": 64})).image_size == (64, 64)
    assert load_description(path)["encoding"] == "jpeg"


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("http://h/v2/models/m", "v2"),
        ("http://h/v2/models/m/versions/1/infer", "v2"),
        ("http://h/v1/models/m:predict", "tf-serving"),
        ("http://h/v1/models/m/versions/2:classify", "tf-serving"),
        ("https://h/v1/chat/completions", "openai"),
        ("https://api.clarifai.com/v2/models/m/outputs", None),
        ("http://h/v1/models/m", None),
        ("http://h/predict", None),
    ],
)
def test_the_protocol_is_read_off_the_url_where_it_is_unmistakable(url: str, protocol: str | None) -> None:
    if protocol is not None:
        assert read_endpoint(url, None).protocol == protocol
        return
    with pytest.raises(ConfigError, match="does not tell its protocol") as raised:
        read_endpoint(url, None)
    assert all(f"  {name}: " in str(raised.value) for name in PROTOCOLS)


@pytest.mark.parametrize(
    ("url", "message", "words"),
    [
        (None, None, "has no URL"),
        ("http://h/${KEY}", None, "asks for a variable of the environment"),
        ("http://h/v2/models/{m}", None, "needs 'm'"),
        ("http://h/v2/models/{m", None, "stray brace"),
        ("http://h/x?api_key=123", None, "looks like a credential"),
        ("http://user:pw@h/x", None, "holds a user name or a password"),
        ("file:///etc/passwd", None, "expected a URL like"),
        (None, "no json", "Expected a JSON file"),
        (None, [1], "expected a JSON object"),
        (None, {"ulr": "http://h"}, "no 'ulr'. Did you mean 'url'"),
        (None, {"url": 3}, "expected a text as option 'url'"),
        (None, {"url": "http://h", "protocol": "openia"}, "Did you mean 'openai'"),
        (None, {"url": "http://h", "protocol": "v2", "encoding": "gif"}, "got 'gif'"),
        (None, {"answer": "scores"}, "'answer' to be one of logits"),
        (None, {"max_batch": 0}, "at least 1"),
        (None, {"labels": ["a", "a"]}, "two or more different texts"),
        (None, {"image_size": [0, 3]}, "whole number or"),
        (None, {"image_size": [3]}, "whole number or"),
        (None, {"options": []}, "an object as 'options'"),
        (None, {"headers": {"A": 3}}, "expected 'headers'"),
        (None, {"headers": {"Authorization": "Bearer abc123"}}, "holds a credential itself"),
        ("http://h/{token}/x", {"protocol": "json", "options": {"token": "sk-live-1"}}, "'token' looks like a cred"),
    ],
)
def test_what_makes_no_sense(url: str | None, message: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        read_endpoint(url, None if message is None else write(tmp_path, message))


def test_a_name_that_is_none() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'google-vision'"):
        load_description("google-vison")


HIDDEN = "sk-live-0123"


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("json", {"body": {"image": "$base64", "api_key": HIDDEN}, "label": "a"}),
        ("json", {"body": {"image": "$base64", "auth": [{"deep": {"accessToken": HIDDEN}}]}, "label": "a"}),
        ("json", {"body": {"image": "$base64", "api_key": [HIDDEN]}, "label": "a"}),
        ("json", {"body": {"image": "$base64", "api_key": "${API_KEY}"}, "label": "a"}),
        ("openai", {"model": "m", "labels": ["a", "b"], "extra": {"metadata": {"secret": HIDDEN}}}),
    ],
)
def test_a_credential_in_an_option_is_refused_without_being_shown(protocol: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"looks like a credential.* header") as error:
        PROTOCOLS[protocol](Endpoint("http://h/x", protocol, options=options))
    assert HIDDEN not in str(error.value)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("json", {"body": {"key": "$base64", "token": "image", "max_tokens": "12345678", "sig": 7}, "label": "a"}),
        ("json", {"body": {"key": "a text in words", "image": "$base64"}, "label": "a"}),
        ("tf-serving", {"signature": "serving_default"}),
        ("openai", {"model": "m", "labels": ["a", "b"], "token_limit": "max_completion_tokens"}),
    ],
)
def test_other_options_are_fine(protocol: str, options: dict[str, Any]) -> None:
    url = "http://h/v1/models/m"
    assert PROTOCOLS[protocol](Endpoint(url, protocol, options=options)).facts()["options"] == options
