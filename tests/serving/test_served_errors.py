"""What the endpoint refuses, with which status and words; whatever it is sent, it answers in JSON."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image

from pixprompt.models import as_model
from pixprompt.serving import Request
from pixprompt.serving.messages import MAX_VALUES

from ..images import bomb, jpeg
from .toy import (
    INFER,
    LENGTH,
    SIZE,
    error_of,
    file_of,
    json_request,
    make_pixels,
    make_service,
    raw_request,
    requests_for,
    rows_of,
    tensor,
    with_lengths,
)

ONE = 3 * SIZE[0] * SIZE[1]
LAST, FIRST = [1, *SIZE, 3], [1, 3, *SIZE]
GOOD = tensor("UINT8", LAST, data=[0] * ONE)


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


WRONG_TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({**GOOD, "name": "image"}, "called 'images'"),
    "no datatype": ({**GOOD, "datatype": None}, "UINT8, FP32 or BYTES, got None"),
    "other datatype": ({**GOOD, "datatype": "FP16"}, "UINT8, FP32 or BYTES, got 'FP16'"),
    "shape of another size": ({**GOOD, "shape": [1, 8, 6, 3]}, "[N, 6, 8, 3] or [N, 3, 6, 8], got [1, 8, 6, 3]"),
    "shape without N": ({**GOOD, "shape": [*SIZE, 3]}, "have the shape"),
    "shape with truth": ({**GOOD, "shape": [True, *SIZE, 3]}, "whole numbers"),
    "shape that is a text": ({**GOOD, "shape": "1"}, "whole numbers"),
    "no images": (tensor("UINT8", [0, *SIZE, 3], data=[]), "one image or more"),
    "fewer than none": (tensor("UINT8", [-1, *SIZE, 3], data=[]), "one image or more"),
    "too few numbers": (tensor("UINT8", LAST, data=[0] * (ONE - 1)), f"takes {ONE} numbers, got {ONE - 1}"),
    "ragged": (tensor("UINT8", [2, *SIZE, 3], data=[make_pixels(1)[0].tolist(), [0]]), "nested data"),
    "too deep": (tensor("UINT8", LAST, data=[[[[[0]]]]]), "nested data"),
    "half nested": (tensor("UINT8", LAST, data=[[0] * ONE]), "nested data"),
    "list and numbers": (tensor("UINT8", LAST, data=[[0], 1]), "nested data"),
    "fractions": (tensor("UINT8", LAST, data=[0.5] * ONE), "whole numbers"),
    "truths": (tensor("FP32", FIRST, data=[True] * ONE), "FP32 data are numbers"),
    "one long text": (tensor("FP32", FIRST, data=[0] * (ONE - 1) + ["x" * 999]), "FP32 data are numbers"),
    "256": (tensor("UINT8", LAST, data=[0] * (ONE - 1) + [256]), "0 to 255"),
    "-1": (tensor("UINT8", LAST, data=[0] * (ONE - 1) + [-1]), "0 to 255"),
    "huge whole": (tensor("UINT8", LAST, data=[10**400] * ONE), "0 to 255"),
    "huge fraction": (tensor("FP32", FIRST, data=[10**400] * ONE), "too large"),
    "1e300": (tensor("FP32", FIRST, data=[1e300] * ONE), "max inf"),
    "bytes as fractions": (tensor("FP32", FIRST, data=[200] * ONE), "Divide by 255"),
    "normalised": (tensor("FP32", FIRST, data=[-1.7] * ONE), "Already normalised?"),
    "no data": (tensor("UINT8", LAST), "data is a list"),
    "data as text": (tensor("UINT8", LAST, data="AAAA"), "data is a list"),
    "data twice": ({**GOOD, "parameters": {"binary_data_size": 0}}, "instead of data"),
    "size as text": (tensor("UINT8", LAST, parameters={"binary_data_size": "9"}), "binary_data_size says '9'"),
    "no base64": (tensor("BYTES", [1], data=["!"]), "in base64"),
    "numbers as files": (tensor("BYTES", [1], data=[7]), "got 7"),
    "no image": (tensor("BYTES", [1], data=[text_of(b"hello")]), "PNG or JPEG"),
    "gif": (tensor("BYTES", [1], data=[text_of(file_of(make_pixels(1)[0], "GIF"))]), "PNG or JPEG"),
    "cut file": (tensor("BYTES", [1], data=[text_of(file_of(make_pixels(1)[0])[:60])]), "not a readable image"),
    "other size": (tensor("BYTES", [1], data=[text_of(file_of(make_pixels(1)[0].swapaxes(0, 1)))]), "8x6 pixels"),
    "two for one": (tensor("BYTES", [1], data=[text_of(file_of(make_pixels(1)[0]))] * 2), "takes 1 files, got 2"),
    "bomb": (tensor("BYTES", [1], data=[text_of(bomb())]), "far more than 6x8 pixels"),
    "large": (tensor("BYTES", [1], data=[text_of(bomb(9000, 9000))]), "9000x9000 pixels, expected 6x8"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_a_wrong_tensor_is_refused_with_words(case: str) -> None:
    entry, words = WRONG_TENSORS[case]
    response = make_service().respond(json_request(entry))
    assert response.status == 400
    assert words in error_of(response)


WRONG_BODIES = {
    "empty": (b"", "JSON object in UTF-8"),
    "no JSON": (b"{", "JSON object in UTF-8"),
    "no UTF-8": (b'{"id": "\xff"}', "no UTF-8"),
    "a list": (b"[]", "got list"),
    "NaN": (b'{"id": NaN}', "NaN is no JSON number"),
    "deep": (b"[" * 100_000, "JSON object in UTF-8"),
    "long number": (b'{"a": ' + b"9" * 5000 + b"}", "JSON object in UTF-8"),
    "no inputs": (b"{}", "inputs is a list"),
    "inputs as object": (b'{"inputs": {}}', "inputs is a list"),
    "two inputs": (json.dumps({"inputs": [GOOD, GOOD]}).encode(), "the one input"),
    "input as text": (b'{"inputs": ["images"]}', "called 'images', got None"),
    "identity": (json.dumps({"inputs": [GOOD], "id": 3}).encode(), "id is a text"),
    "parameters": (json.dumps({"inputs": [GOOD], "parameters": [1]}).encode(), "parameters is an object"),
    "outputs": (json.dumps({"inputs": [GOOD], "outputs": "outputs"}).encode(), "outputs is a list"),
    "other output": (json.dumps({"inputs": [GOOD], "outputs": [{"name": "scores"}]}).encode(), "called 'outputs'"),
}


@pytest.mark.parametrize("case", WRONG_BODIES)
def test_a_wrong_body_is_refused_with_words(case: str) -> None:
    body, words = WRONG_BODIES[case]
    response = make_service().respond(Request("POST", INFER, {}, body))
    assert response.status == 400
    assert words in error_of(response)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"classification": 0}, "a number of classes, got 0"),
        ({"classification": True}, "a number of classes"),
        ({"classification": "2"}, "a number of classes"),
        ({"binary_data": 1}, "true or false"),
        ("x", "parameters is an object"),
    ],
)
def test_a_wrong_wish_for_the_answer_is_refused(parameters: object, words: str) -> None:
    response = make_service().respond(json_request(GOOD, outputs=[{"name": "outputs", "parameters": parameters}]))
    assert response.status == 400
    assert words in error_of(response)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (raw_request("UINT8", LAST, bytes(ONE + 1)), f"takes {ONE} bytes, got {ONE + 1}"),
        (raw_request("FP32", FIRST, bytes(4 * ONE - 4)), f"takes {4 * ONE} bytes"),
        (raw_request("FP32", FIRST, b"\x00\x00\xc0\x7f" * ONE), "NaN"),
        (raw_request("BYTES", [1], b"\xff\xff\xff\xffPNG"), "one is cut"),
        (raw_request("BYTES", [1], b"\x01\x00"), "one is cut"),
        (raw_request("BYTES", [2], with_lengths([file_of(make_pixels(1)[0])])), "takes 2 files, got 1"),
        (replace(json_request(GOOD), headers={LENGTH.lower(): "x"}), "a number of bytes within the body"),
        (replace(json_request(GOOD), headers={LENGTH.lower(): "99999"}), "a number of bytes within the body"),
        (replace(json_request(GOOD), body=json_request(GOOD).body + b"more"), "JSON object"),
        (
            replace(raw_request("UINT8", LAST, bytes(ONE)), body=raw_request("UINT8", LAST, bytes(ONE)).body + b"x"),
            f"{ONE + 1} bytes follow",
        ),
    ],
)
def test_wrong_bytes_are_refused_with_words(request_: Request, words: str) -> None:
    response = make_service().respond(request_)
    assert response.status == 400
    assert words in error_of(response)


def test_more_values_than_could_be_parsed_at_once_are_refused_unread() -> None:
    body = b'{"inputs": [' + b"0," * MAX_VALUES + b"{"
    response = make_service().respond(Request("POST", INFER, {}, body))
    assert response.status == 413
    assert f"at most {MAX_VALUES} values" in error_of(response)


def test_bytes_that_no_input_claims_are_refused() -> None:
    good = raw_request("UINT8", LAST, bytes(ONE))
    head = json.dumps({"inputs": [GOOD]}).encode()
    response = make_service().respond(replace(good, body=head + b"rest", headers={LENGTH.lower(): str(len(head))}))
    assert response.status == 400
    assert "4 bytes follow the JSON, but no input" in error_of(response)


def test_a_turned_photo_counts_as_it_stands() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = jpeg(Image.fromarray(make_pixels(1)[0]), exif=exif)
    response = make_service().respond(raw_request("BYTES", [1], with_lengths([turned])))
    assert response.status == 400
    assert "8x6 pixels, expected 6x8" in error_of(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v3", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/tiny/versions/2", 404),
        ("GET", "/v2/models/tiny/versions", 404),
        ("POST", "/v2/models/tiny/infer/x", 404),
        ("GET", "/v2/models/../models/tiny", 404),
        ("GET", "//[::1", 400),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v2/models/tiny", 405),
    ],
)
def test_unknown_paths_and_methods(method: str, path: str, status: int) -> None:
    response = make_service().respond(Request(method, path))
    assert response.status == status
    assert error_of(response)
    assert (status != 405) or response.headers["Allow"] == ("POST" if path == INFER else "GET, HEAD")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "image/png"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_content_of_another_type_is_refused(headers: dict[str, str]) -> None:
    response = make_service().respond(replace(json_request(GOOD), headers=headers))
    assert response.status == 415
    assert error_of(response)
    allowed = replace(json_request(GOOD), headers={"content-type": "Application/JSON; charset=utf-8"})
    assert make_service().respond(allowed).status == 200


def test_the_images_of_a_request_are_bounded_before_they_are_decoded() -> None:
    small = file_of(np.zeros((*SIZE, 3), np.uint8))
    request = raw_request("BYTES", [11], with_lengths([small] * 11))
    assert make_service(max_bytes=11 * ONE).respond(request).status == 200
    response = make_service(max_bytes=11 * ONE - 1).respond(request)
    assert response.status == 413
    assert "at most 10 images per request, got 11" in error_of(response)


def test_a_model_that_fails_does_not_end_the_service() -> None:
    calls: list[int] = []

    def failing(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        if len(calls) == 2:
            raise ZeroDivisionError("secret")
        return torch.full((len(images), 3), float("nan") if len(calls) == 3 else 1.0)

    service = make_service(model=as_model(failing, image_size=SIZE, takes="tensor", name="failing"))
    request = requests_for(make_pixels(1))["uint8 raw"]
    for words in ("ZeroDivisionError", "NaN or infinity"):
        response = service.respond(request)
        assert response.status == 500
        assert words in error_of(response)
    assert rows_of(service.respond(request)).tolist() == [[1, 1, 1]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.sampled_from(["images", "UINT8", "BYTES", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size", "classification"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(value=st.fixed_dictionaries({"inputs": JSON}, optional={"outputs": JSON, "parameters": JSON, "id": JSON}))
def test_no_json_makes_it_stumble(value: object) -> None:
    response = make_service().respond(Request("POST", INFER, {}, json.dumps(value).encode()))
    assert response.status == 400
    assert error_of(response)


@given(change=st.dictionaries(st.sampled_from([*GOOD, "parameters"]), JSON, min_size=1, max_size=2))
def test_no_change_of_a_good_tensor_makes_it_stumble(change: dict[str, object]) -> None:
    response = make_service().respond(json_request({**GOOD, **change}))
    assert response.status in (200, 400)
    assert response.status == 200 or error_of(response)


@given(body=st.binary(max_size=80), length=st.integers(0, 100), path=st.text(max_size=20))
def test_no_bytes_make_it_stumble(body: bytes, length: int, path: str) -> None:
    service = make_service()
    assert service.respond(Request("POST", INFER, {LENGTH.lower(): str(length)}, body)).status == 400
    assert service.respond(Request("GET", f"/v2/{path}")).status in (200, 400, 404)
