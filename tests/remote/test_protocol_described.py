"""Endpoints described by a file: bodies of all kinds, and answers wherever they are."""

from __future__ import annotations

import base64
import io
import json
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import ConfigError
from pixprompt.remote.messages import Incoming, ItemFault, Outgoing, Picture
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.described.json_paths import MISSING, JsonPath
from pixprompt.remote.protocols.described.protocol import DescribedJson

from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

ABC = Picture(np.zeros((1, 1, 3), np.uint8), b"ABC", "image/jpeg")
TWO = [picture(0), picture(1)]
BATCH: dict[str, Any] = {"body": {"images": {"$each": "$base64"}}, "images": "answers[*]"}


def protocol(**options: Any) -> DescribedJson:
    return DescribedJson(Endpoint("http://host/x", "json", options=options))


@pytest.mark.parametrize(
    ("options", "content_type", "body"),
    [
        ({"body": {"a": ["$base64", 1, None]}}, "application/json", b'{"a":["QUJD",1,null]}'),
        ({"body": "$data_url"}, "application/json", b'"data:image/jpeg;base64,QUJD"'),
        (
            {"body": {"é": "$media_type", "i": "$base64"}, "content_type": "application/x"},
            "application/x",
            '{"é":"image/jpeg","i":"QUJD"}'.encode(),
        ),
        ({"send": "raw"}, "image/jpeg", b"ABC"),
        ({"send": "raw", "content_type": "application/octet-stream"}, "application/octet-stream", b"ABC"),
        ({"send": "base64"}, "text/plain", b"QUJD"),
        (
            {"send": "form", "body": {"image": "$data_url", "n": "3 +"}},
            "application/x-www-form-urlencoded",
            b"image=data%3Aimage%2Fjpeg%3Bbase64%2CQUJD&n=3+%2B",
        ),
        (
            {"send": "multipart", "body": {'a"b': "text", "file": "$file"}},
            "multipart/form-data; boundary=pixprompt-b5d4045c3f466fa91fe2cc6abe79232a",
            b"--pixprompt-b5d4045c3f466fa91fe2cc6abe79232a\r\n"
            b'Content-Disposition: form-data; name="a%22b"\r\n\r\ntext\r\n'
            b"--pixprompt-b5d4045c3f466fa91fe2cc6abe79232a\r\n"
            b'Content-Disposition: form-data; name="file"; filename="image.jpeg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\nABC\r\n"
            b"--pixprompt-b5d4045c3f466fa91fe2cc6abe79232a--\r\n",
        ),
    ],
)
def test_the_bytes_of_a_request(options: dict[str, Any], content_type: str, body: bytes) -> None:
    request_protocol = protocol(scores="s", **options)
    request = request_protocol.request([ABC])
    assert (request.url, request.method, request_protocol.max_batch) == ("http://host/x", "POST", 1)
    assert dict(request.headers) == {"Content-Type": content_type}
    assert request.body == body


def test_the_bytes_of_a_batch() -> None:
    body = {"k": 1, "r": {"$each": {"i": "$base64", "f": [{"t": "$media_type"}]}}}
    request_protocol = protocol(body=body, images="[*]", scores="")
    assert request_protocol.max_batch is None
    item = b'{"i":"QUJD","f":[{"t":"image/jpeg"}]}'
    assert request_protocol.request([ABC, ABC]).body == b'{"k":1,"r":[' + item + b"," + item + b"]}"
    assert request_protocol.request([ABC]).body == b'{"k":1,"r":[' + item + b"]}"


# A server ------------------------------------------------------------------------------------------------------------


def images_of(request: Outgoing) -> list[bytes]:
    """The image files in a request, whatever its content type."""
    kind = request.headers["Content-Type"]
    if kind.startswith("multipart/"):
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}  # type: ignore[union-attr]
        content: bytes = parts["file"].get_payload(decode=True)  # type: ignore[assignment, union-attr]
        return [content]
    if kind == "application/x-www-form-urlencoded":
        return [base64.b64decode(dict(parse_qsl(request.body.decode(), strict_parsing=True))["file"])]
    if kind == "text/plain":
        return [base64.b64decode(request.body, validate=True)]
    if kind == "application/json":
        return [base64.b64decode(text) for text in json.loads(request.body)["images"]]
    return [request.body]


def server(request: Outgoing) -> Incoming:
    """Answers with the percentage of red, green and blue."""
    rows = []
    for content in images_of(request):
        means = np.asarray(Image.open(io.BytesIO(content))).mean((0, 1)) / 2.55
        rows.append([{"name": {"en": name}, "p": mean} for name, mean in zip("rgb", means, strict=True)])
    return answer({"answers": rows})


@pytest.mark.parametrize("send", ["json", "raw", "base64", "form", "multipart"])
@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_images_arrive_and_answers_come_back_in_order(send: str, encoding: str) -> None:
    files = {"form": {"file": "$base64", "k": "v"}, "multipart": {"k": "v", "file": "$file"}}
    options = {"send": send, "body": files[send]} if send in files else {"send": send}
    options = BATCH if send == "json" else {**options, "images": "answers[*]"}
    request_protocol = protocol(items="", label="name.en", score="p", scale=100, **options)
    pictures = [picture(seed, (8, 8), encoding) for seed in range(2)]
    rounds = [pictures] if send == "json" else [[item] for item in pictures]
    results = [reply for batch in rounds for reply in ask(request_protocol, batch, server)]
    for image, reply in zip(pictures, results, strict=True):
        expected = image.pixels.mean((0, 1)) / 255
        assert list(reply) == ["r", "g", "b"]
        assert np.allclose(list(reply.values()), expected, atol=1e-9 if encoding == "png" else 0.02)
    if send == "json":
        assert ask(request_protocol, pictures[::-1], server) == results[::-1]


# Where answers are ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "body", "reply"),
    [
        ({"scores": "a.b[1]"}, {"a": {"b": [0, [0.5, 2]]}}, [0.5, 2.0]),
        ({"scores": ""}, [1, 2, 3], [1.0, 2.0, 3.0]),
        (
            {"items": "", "label": "l", "score": "s"},
            [{"l": "a:b", "s": 1}, {"l": "犬", "s": 0.5}],
            {"a:b": 1.0, "犬": 0.5},
        ),
        ({"items": "", "label": "[0]", "score": "[1]"}, [["a", 1], ["b", 2]], {"a": 1.0, "b": 2.0}),
        ({"items": "p"}, {"p": {"x": 0.25, "y": 0}}, {"x": 0.25, "y": 0.0}),
        ({"items": "p", "score": "c"}, {"p": {"x": {"c": 1}}}, {"x": 1.0}),
        ({"items": "p[*]", "label": "i", "score": "s", "scale": 100}, {"p": [{"i": 7, "s": 25}]}, {"7": 0.25}),
        ({"label": 'a["x.y"].name'}, {"a": {"x.y": {"name": "Katze: groß"}}}, "Katze: groß"),
        ({"label": "n"}, {"n": 3}, "3"),
        ({"items": "p", "label": "l", "score": "s", "empty": True}, {}, {}),
        ({"items": "p", "label": "l", "score": "s", "empty": True}, {"p": []}, {}),
    ],
)
def test_answers_are_found(options: dict[str, Any], body: object, reply: object) -> None:
    (result,) = protocol(send="raw", **options).read(answer(body), 1)
    assert (result.tolist() if isinstance(result, np.ndarray) else result) == reply


NAMED = {"items": "p", "label": "l", "score": "s"}


@pytest.mark.parametrize(
    ("options", "body", "reason"),
    [
        ({"scores": "s"}, b"<html>", "expected JSON"),
        ({"scores": "s"}, {"t": [1, 2]}, "expected something at s, got {'t': [1, 2]}"),
        ({"scores": "s"}, {"s": [1]}, "expected two or more scores"),
        ({"scores": "s"}, {"s": {"a": 1}}, "expected two or more scores"),
        ({"scores": "s"}, {"s": [1, float("-inf")]}, "expected finite scores"),
        ({"scores": "s", "scale": 1e-300}, {"s": [1, 1e300]}, "expected finite scores"),
        (NAMED, {}, "expected labels with scores at p"),
        (NAMED, {"p": []}, "expected labels with scores at p, got none"),
        (NAMED, {"p": "cat"}, "expected labels with scores at p"),
        (NAMED, {"p": [{"l": "a"}]}, "expected a label with a finite score"),
        (NAMED, {"p": [{"s": 1}]}, "expected a label with a finite score"),
        (NAMED, {"p": [{"l": ["a"], "s": 1}]}, "expected a label with a finite score"),
        (NAMED, {"p": [{"l": "a", "s": "1"}]}, "expected a label with a finite score, got a: 1"),
        (NAMED, {"p": [{"l": "a", "s": 1e308}, {"l": "a", "s": 1e308}]}, "expected a label with a finite score"),
        ({**NAMED, "empty": True}, [], "expected labels with scores"),
        ({**NAMED, "empty": True}, {"p": None}, "expected labels with scores"),
        ({"items": "p"}, {"p": [1, 2]}, "expected labels with scores"),
        ({"label": "l"}, {"l": None}, "expected a label at l"),
        ({"label": "l"}, {"l": True}, "expected a label at l"),
    ],
)
def test_what_cannot_be_read_is_garbled(options: dict[str, Any], body: object, reason: str) -> None:
    assert reason in garbled(protocol(send="raw", **options), body, 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "expected answers at answers[*]"),
        ({"answers": {"0": [1, 2]}}, "expected answers at answers[*]"),
        ({"answers": [[1, 2]]}, "expected 2 answers, one per image, got 1"),
        ({"answers": [[1, 2]] * 3}, "expected 2 answers, one per image, got 3"),
        ({"answers": [[1, 2], None]}, "expected two or more scores"),
    ],
)
def test_every_image_gets_one_answer(body: object, reason: str) -> None:
    assert reason in garbled(protocol(**BATCH, scores=""), body)


# Errors inside of a 200 ----------------------------------------------------------------------------------------------

RULE = {"code": "status.code", "ok": [0, 10], "message": "status.text", "throttled": [8], "refused": [3]}


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        ({"code": 8, "text": "slow\ndown"}, FaultKind.THROTTLED, "the endpoint says: 8 slow down"),
        ({"code": 3, "text": "bad"}, FaultKind.REFUSED, "the endpoint says: 3 bad"),
        ({"code": 99}, FaultKind.BUSY, "the endpoint says: 99"),
        ({"code": "OVERLOADED", "text": None}, FaultKind.BUSY, "the endpoint says: OVERLOADED None"),
    ],
)
def test_errors_of_one_image_and_of_all(status: dict[str, Any], kind: FaultKind, reason: str) -> None:
    each = protocol(**BATCH, scores="s", image_error=RULE)
    good = {"s": [1, 2], "status": {"code": 10}}
    result = each.read(answer({"answers": [{"status": status}, good]}), 2)
    assert result[0] == ItemFault(reason, kind)
    assert isinstance(result[1], np.ndarray)
    whole = fault(protocol(**BATCH, scores="s", error=RULE), answer({"status": status, "answers": [good, good]}))
    assert (whole.kind, whole.reason) == (kind, reason)
    assert len(protocol(**BATCH, scores="s", error=RULE).read(answer({"answers": [good, good]}), 2)) == 2


# Paths and descriptions --------------------------------------------------------------------------------------------


def test_branches_that_end_early_keep_their_place() -> None:
    value = {"a": [{"b": [1, 2]}, {}, {"b": [3]}]}
    assert JsonPath("a[*].b").all(value) == [[1, 2], MISSING, [3]]
    assert JsonPath("a[*].b[*]").all(value) == [1, 2, MISSING, 3]
    assert JsonPath("a[2].b[0]").one(value) == 3
    assert JsonPath("a[7]").one(value) is MISSING
    assert JsonPath("").one(value) is value


@pytest.mark.parametrize("text", [".a", "a.", "a..b", "a[", "a[x]", "a[-1]", "a b", 'a["x]', 3, None])
def test_paths_that_are_none(text: object) -> None:
    with pytest.raises(ConfigError, match="path"):
        JsonPath(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"send": "raw", "score": "s", "items": "p", "lable": "l"}, "no 'lable'. Did you mean 'label'"),
        ({"send": "row", "scores": "s"}, "Did you mean 'raw'"),
        ({"scores": "s"}, "the image would not be sent"),
        ({"body": {"image": "$b64"}, "scores": "s"}, "Known: .base64"),
        ({"body": {"image": "$file"}, "scores": "s"}, "nothing is known to fill"),
        ({"send": "form", "body": {"image": 3}, "scores": "s"}, "a flat object"),
        ({"send": "form", "body": {"image": "$media_type"}, "scores": "s"}, "would not be sent"),
        ({"send": "multipart", "body": {"image": "$file"}, "content_type": "x", "scores": "s"}, "boundary"),
        ({"send": "raw", "body": {}, "scores": "s"}, "leave out option 'body'"),
        ({"body": {"$each": "$base64", "k": 1}, "scores": "s"}, "alone in its object"),
        ({"body": {"$each": {"$each": "$base64"}}, "scores": "s"}, "more than once"),
        ({"body": ["$base64", {"$each": "$base64"}], "scores": "s"}, "inside of it and nowhere else"),
        ({"body": {"$each": "$base64"}, "scores": "s"}, "by option 'images'"),
        ({"send": "raw", "images": "answers", "scores": "s"}, r"expected a \[\*\]"),
        ({"send": "raw"}, "say where the answers are"),
        ({"send": "raw", "scores": "s", "items": "p"}, "say where the answers are"),
        ({"send": "raw", "scores": "s", "label": "l"}, "does not go with 'scores'"),
        ({"send": "raw", "items": "p", "label": "l"}, "need 'score'"),
        ({"send": "raw", "label": "l", "score": "s"}, "does not go with 'label'"),
        ({"send": "raw", "scores": "s[*]"}, r"has a \[\*\]"),
        ({"send": "raw", "scores": "s", "scale": 0}, "above 0"),
        ({"send": "raw", "scores": "s", "scale": "percent"}, "above 0"),
        ({"send": "raw", "scores": "s", "error": "e"}, "option 'error' as"),
        ({"send": "raw", "scores": "s", "error": {"code": "e", "fine": [1]}}, "no 'fine'"),
        ({"send": "raw", "scores": "s", "error": {"code": "e", "ok": 0}}, "a list of codes as 'ok'"),
    ],
)
def test_descriptions_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        protocol(**options)
