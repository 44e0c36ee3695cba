"""Open Inference Protocol v2: bytes on the wire, and answers of all forms, against a server written from the spec."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pixprompt.core import ConfigError
from pixprompt.remote.messages import Incoming, Outgoing, Picture
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.v2.protocol import V2

from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

URL = "http://host:8000/v2/models/m"
GIVEN: dict[str, Any] = {"input": "x", "output": "y"}
TWO = [picture(0), picture(1)]


def protocol(labels: tuple[str, ...] | None = None, **options: Any) -> V2:
    return V2(Endpoint(URL, "v2", labels=labels, options={**GIVEN, **options}))


def output(values: object, shape: list[int], datatype: str = "FP32", name: str = "y") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": values}


def outputs(*tensors: dict[str, Any]) -> dict[str, Any]:
    return {"model_name": "m", "outputs": list(tensors)}


# What is sent ----------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_json_request() -> None:
    pixels = np.array([[[0, 128, 255], [51, 1, 2]]], dtype=np.uint8)
    request = protocol().request([Picture(pixels, b"", "image/png")])
    assert (request.url, request.method) == (URL + "/infer", "POST")
    assert dict(request.headers) == {"Content-Type": "application/json"}
    assert request.body == (
        b'{"inputs":[{"name":"x","shape":[1,3,1,2],"datatype":"FP32",'
        b'"data":[0.0,0.2,0.5019608,0.003921569,1.0,0.007843138]}],"outputs":[{"name":"y"}]}'
    )


def test_the_bytes_of_a_binary_request() -> None:
    pixels = np.array([[[0, 128, 255], [51, 1, 2]]], dtype=np.uint8)
    request = protocol(binary=True, layout="NHWC", range="byte").request([Picture(pixels, b"", "image/png")])
    head = (
        b'{"inputs":[{"name":"x","shape":[1,1,2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}],'
        b'"outputs":[{"name":"y","parameters":{"binary_data":true}}]}'
    )
    assert request.body == head + struct.pack("<6f", 0, 128, 255, 51, 1, 2)
    assert dict(request.headers) == {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }


@pytest.mark.parametrize("binary", [False, True])
def test_image_files_go_after_their_length_or_as_base64(binary: bool) -> None:
    options = {"binary": True} if binary else {"bytes": "base64"}
    request = protocol(datatype="BYTES", **options).request(TWO)
    if not binary:
        entry = json.loads(request.body)["inputs"][0]
        assert (entry["shape"], entry["parameters"]) == ([2], {"content_type": "base64"})
        assert [base64.b64decode(text) for text in entry["data"]] == [image.content for image in TWO]
        return
    length = int(request.headers["Inference-Header-Content-Length"])
    raw, entry = request.body[length:], json.loads(request.body[:length])["inputs"][0]
    assert (entry["shape"], entry["datatype"]) == ([2], "BYTES")
    assert raw == b"".join(struct.pack("<I", len(image.content)) + image.content for image in TWO)
    assert entry["parameters"]["binary_data_size"] == len(raw)


def test_image_files_are_never_put_into_json_as_they_are() -> None:
    with pytest.raises(ConfigError, match="which JSON cannot hold"):
        protocol(datatype="BYTES").request(TWO)


@pytest.mark.parametrize("option", ["unit", "byte", {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}])
def test_every_pixel_value_arrives_as_the_float32_that_it_should_be_in_json_and_binary(option: Any) -> None:
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    expected = pixels.astype(np.float32) / np.float32(1 if option == "byte" else 255)
    if isinstance(option, dict):
        expected = (expected - np.float32(option["mean"])) / np.float32(option["std"])
    for binary in (False, True):
        request = protocol(range=option, layout="NHWC", binary=binary).request([Picture(pixels, b"", "image/png")])
        server = Server().images(request)
        assert server.dtype == np.float32
        assert np.array_equal(server[0], expected)


# A server ----------------------------------------------------------------------------------------------------------


class Server:
    """Answers with the mean, the minimum and the maximum of each image; written from the specification."""

    def __init__(self, binary: bool = False, shape: Callable[[int], list[int]] = lambda n: [n, 3]) -> None:
        self.binary, self.shape = binary, shape

    def images(self, request: Outgoing) -> Any:
        length = int(request.headers.get("Inference-Header-Content-Length", len(request.body)))
        (entry,) = json.loads(request.body[:length])["inputs"]
        kind = {"FP32": "<f4", "FP16": "<f2", "FP64": "<f8", "UINT8": "u1", "INT32": "<i4"}[entry["datatype"]]
        if "binary_data_size" not in entry.get("parameters", {}):
            return np.array(entry["data"], dtype=np.float64).astype(kind).reshape(entry["shape"])
        assert entry["parameters"]["binary_data_size"] == len(request.body) - length
        return np.frombuffer(request.body[length:], dtype=kind).reshape(entry["shape"])

    def __call__(self, request: Outgoing) -> Incoming:
        images = self.images(request).astype(np.float64)
        rows = np.array([[image.mean(), image.min(), image.max()] for image in images], dtype="<f4")
        other = {"name": "z", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}
        if not self.binary:
            return answer(outputs(output([0], [1], name="z"), output(rows.tolist(), self.shape(len(rows)))))
        mine = output(None, self.shape(len(rows)))
        del mine["data"]
        head = json.dumps(outputs(other, {**mine, "parameters": {"binary_data_size": rows.nbytes}})).encode()
        headers = {"inference-header-content-length": str(len(head))}
        return answer(head + struct.pack("<q", 7) + rows.tobytes(), headers=headers)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64", "UINT8", "INT32"])
def test_images_travel_and_answers_come_back_in_order(datatype: str, layout: str, binary: bool) -> None:
    request_protocol = protocol(datatype=datatype, layout=layout, binary=binary)
    assert not request_protocol.sends_files
    answers = ask(request_protocol, TWO, Server(binary))
    scale = 1 if datatype in ("UINT8", "INT32") else 255
    expected = [[image.pixels.mean() / scale, image.pixels.min() / scale, image.pixels.max() / scale] for image in TWO]
    assert np.allclose(answers, expected, rtol=2e-3 if datatype == "FP16" else 1e-6)
    assert not np.allclose(answers[0], answers[1], rtol=1e-3)
    assert ask(request_protocol, TWO[::-1], Server(binary)) == answers[::-1]


def test_channels_and_rows_lie_where_the_layout_says() -> None:
    pixels = TWO[0].pixels
    for layout in ("NCHW", "NHWC"):
        server = Server().images(protocol(layout=layout, datatype="UINT8").request(TWO[:1]))[0]
        assert np.array_equal(server, pixels.transpose(2, 0, 1) if layout == "NCHW" else pixels)


@pytest.mark.parametrize("shape", [lambda n: [n, 3, 1, 1], lambda n: [n, 1, 3]])
def test_ones_in_the_shape_of_the_answer_do_not_count(shape: Callable[[int], list[int]]) -> None:
    assert ask(protocol(), TWO, Server(shape=shape)) == ask(protocol(), TWO, Server())


def test_one_image_may_be_answered_without_a_batch_dimension() -> None:
    assert ask(protocol(), TWO[:1], Server(shape=lambda n: [3])) == ask(protocol(), TWO[:1], Server())


# Other answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
def test_classes_keep_labels_with_colons_and_unicode(binary: bool) -> None:
    texts = ["0.75:3:a: b", "0.25:0:naïve 犬", "1.5e-3:1:c", "-2:2"]
    request_protocol = protocol(classification=2, labels=("l0", "l1", "l2"))
    assert json.loads(request_protocol.request(TWO).body)["outputs"] == [
        {"name": "y", "parameters": {"classification": 2}}
    ]
    body = outputs(output(texts, [2, 2], "BYTES"))
    reply = answer(body)
    if binary:
        raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
        entry = {"name": "y", "shape": [2, 2], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
        head = json.dumps(outputs(entry)).encode()
        reply = answer(head + raw, headers={"inference-header-content-length": str(len(head))})
    assert request_protocol.read(reply, 2) == [{"a: b": 0.75, "naïve 犬": 0.25}, {"c": 0.0015, "l2": -2.0}]


def test_labels_that_name_classes_are_facts_and_others_are_not() -> None:
    labels = [("a", "b"), ("b", "a"), None]
    classes = [protocol(known, classification=2).facts() for known in labels]
    assert classes[0] != classes[1] != classes[2] != classes[0]
    assert classes[2] == {**protocol().facts(), "options": {**GIVEN, "classification": 2}}
    assert all(protocol(known).facts() == protocol().facts() for known in labels)


def test_a_class_without_any_label_is_called_by_its_index() -> None:
    assert protocol(classification=1).read(answer(outputs(output(["0.5:7"], [1, 1], "BYTES"))), 1) == [{"7": 0.5}]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_labels_alone_are_texts(shape: list[int]) -> None:
    assert protocol().read(answer(outputs(output(["Katze", "a:1:b"], shape, "BYTES"))), 2) == ["Katze", "a:1:b"]


def test_bf16_and_fp16_are_read() -> None:
    for datatype, raw in (
        ("BF16", struct.pack("<4H", 0x3F80, 0xC000, 0x3E80, 0)),
        ("FP16", struct.pack("<4e", 1, -2, 0.25, 0)),
    ):
        entry = {"name": "y", "shape": [2, 2], "datatype": datatype, "parameters": {"binary_data_size": 8}}
        head = json.dumps(outputs(entry)).encode()
        reply = answer(head + raw, headers={"inference-header-content-length": str(len(head))})
        assert np.array_equal(protocol().read(reply, 2), [[1, -2], [0.25, 0]])


def test_an_error_with_status_200_is_busy() -> None:
    error = fault(protocol(), answer({"error": "no\n\x00memory"}))
    assert (error.kind, error.reason) == (FaultKind.BUSY, "the endpoint says: no memory")


DEEP = b"[" * 100_000
BAD: list[tuple[object, str]] = [
    (b"", "expected JSON, got 'nothing'"),
    (b"<html>down</html>", "expected JSON, got '<html>"),
    (b"\xff\xfe\x00", "expected JSON"),
    (DEEP, "nested too deeply"),
    ({}, "expected a list of outputs"),
    ({"outputs": [3]}, "expected a list of outputs"),
    (outputs(), "expected output 'y', got []"),
    (outputs(output([1], [1], name="a"), output([1], [1], name="b")), "expected output 'y', got ['a', 'b']"),
    (outputs(output([1, 2, 3], [2, 2])), "expected 4 numbers for the shape [2, 2], got 3"),
    (outputs(output([1, 2, 3, 4, 5, 6], [3, 2])), "expected the shape (2, S), got [3, 2]"),
    (outputs(output([0] * 8, [2, 2, 2])), "expected the shape (2, S), got [2, 2, 2]"),
    (outputs(output([1, 2], [2])), "expected two or more finite scores"),
    (outputs(output([1, 2, 3, None], [2, 2])), "expected numbers as data"),
    (outputs(output([1, 2, 3, "4"], [2, 2])), "expected numbers as data"),
    (outputs(output([[1, 2], [3]], [2, 2])), "rows of one length"),
    (outputs(output({"a": 1}, [2, 2])), "expected numbers as data"),
    (outputs(output([1, 2, 3, 10**400], [2, 2])), "expected numbers as data"),
    (outputs(output([1, 2, 3, float("nan")], [2, 2])), "expected two or more finite scores"),
    (outputs(output([1, 2, 3, float("inf")], [2, 2])), "expected two or more finite scores"),
    (outputs(output([1, 2, 3, 4], [2, 2], "FP99")), "expected a datatype of the protocol, got FP99"),
    (outputs(output([1, 2, 3, 4], [])), "expected a shape of positive whole numbers"),
    (outputs(output([], [2, 0])), "expected a shape of positive whole numbers"),
    (outputs(output([], [2, True])), "expected a shape of positive whole numbers"),
    (outputs(output([], [2, 2**40])), "expected a shape of positive whole numbers"),
    (outputs(output(["a", "b", "c", "d"], [2, 2], "BYTES")), "expected one label per image"),
    (outputs(output(["a", 3], [2], "BYTES")), "expected texts as data"),
]


@pytest.mark.parametrize(("body", "reason"), BAD, ids=lambda value: str(value)[:40] if isinstance(value, str) else "")
def test_what_cannot_be_read_is_garbled(body: object, reason: str) -> None:
    assert reason in garbled(protocol(), body)


@pytest.mark.parametrize("text", ["0.5", "0.5:x:a", "nan:1:a", "x:1:a", "0.5:-1:a", "0.5:²:a", "1e999:1:a", ""])
def test_classes_that_cannot_be_read_are_garbled(text: str) -> None:
    reason = garbled(protocol(classification=1), outputs(output([text], [1, 1], "BYTES")), 1)
    assert reason.startswith(("expected value:index:label", "expected a finite value"))


def binary_reply(raw: bytes, value: object, size: object, datatype: str = "FP32") -> tuple[bytes, dict[str, str]]:
    head = json.dumps(
        outputs({"name": "y", "shape": [2, 2], "datatype": datatype, "parameters": {"binary_data_size": size}})
    ).encode()
    return head + raw, {"inference-header-content-length": str(len(head) if value is None else value)}


@pytest.mark.parametrize(
    ("raw", "value", "size", "datatype", "reason"),
    [
        (bytes(16), 10**6, 16, "FP32", "bytes of JSON, as the header says"),
        (bytes(16), "x", 16, "FP32", "bytes of JSON, as the header says"),
        (bytes(16), "-1", 16, "FP32", "bytes of JSON, as the header says"),
        (bytes(16), 5, 16, "FP32", "expected JSON"),
        (bytes(12), None, 16, "FP32", "size of binary data up to 12, got 16"),
        (bytes(20), None, 16, "FP32", "expected 16 bytes of binary data, got 20"),
        (bytes(16), None, -1, "FP32", "size of binary data"),
        (bytes(16), None, "16", "FP32", "size of binary data"),
        (bytes(15), None, 15, "FP32", "expected whole FP32 numbers, got 15 bytes"),
        (bytes(8), None, 8, "FP32", "expected 4 numbers for the shape [2, 2], got 2"),
        (struct.pack("<4f", 1, 2, float("nan"), 3), None, 16, "FP32", "finite scores"),
        (b"\xff\xff\xff\xff" + bytes(12), None, 16, "BYTES", "one is cut"),
        (b"\x01\x00\x00\x00\xff", None, 5, "BYTES", "expected texts as BYTES elements"),
        (bytes(17), None, 17, "BYTES", "expected texts as BYTES elements"),
    ],
)
def test_binary_data_that_do_not_fit_are_garbled(
    raw: bytes, value: object, size: object, datatype: str, reason: str
) -> None:
    body, headers = binary_reply(raw, value, size, datatype)
    assert reason in fault(protocol(), answer(body, headers=headers)).reason
