"""TensorFlow Serving's REST interface, against a server written from its documentation."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.core import ConfigError, EndpointError
from pixprompt.remote.messages import Incoming, Outgoing, Picture
from pixprompt.remote.protocol import Declared, Endpoint
from pixprompt.remote.protocols.tf_serving import TFServing

from .protocol_helpers import FaultKind, answer, ask, fault, garbled, picture

URL = "http://host:8501/v1/models/m:predict"
TWO = [picture(0), picture(1)]
PIXELS = np.array([[[0, 128, 255], [51, 1, 2]]], dtype=np.uint8)


def protocol(url: str = URL, **options: Any) -> TFServing:
    return TFServing(Endpoint(url, "tf-serving", options=options))


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, b'{"instances":[[[[0.0,0.5019608,1.0],[0.2,0.003921569,0.007843138]]]]}'),
        ({"range": "byte", "input": "x"}, b'{"instances":[{"x":[[[0.0,128.0,255.0],[51.0,1.0,2.0]]]}]}'),
        ({"datatype": "UINT8", "format": "column"}, b'{"inputs":[[[[0,128,255],[51,1,2]]]]}'),
        (
            {"datatype": "UINT8", "layout": "NCHW", "input": "x", "format": "column", "signature": "s"},
            b'{"signature_name":"s","inputs":{"x":[[[[0,51]],[[128,1]],[[255,2]]]]}}',
        ),
        ({"input": "image_bytes"}, b'{"instances":[{"image_bytes":{"b64":"QUJD"}}]}'),
        ({"datatype": "BYTES"}, b'{"instances":[{"b64":"QUJD"}]}'),
        ({"input": "image_bytes", "format": "column"}, b'{"inputs":{"image_bytes":[{"b64":"QUJD"}]}}'),
    ],
)
def test_the_bytes_of_a_request(options: dict[str, Any], body: bytes) -> None:
    request = protocol(**options).request([Picture(PIXELS, b"ABC", "image/png")])
    assert (request.url, request.method, dict(request.headers)) == (URL, "POST", {"Content-Type": "application/json"})
    assert request.body == body


def test_the_bytes_of_a_classify_request() -> None:
    request = protocol(URL.replace("predict", "classify"), datatype="BYTES").request(
        [Picture(PIXELS, b"ABC", "image/png")]
    )
    assert request.url.endswith(":classify")
    assert request.body == b'{"examples":[{"image/encoded":{"b64":"QUJD"}}]}'


class Server:
    """Answers with mean, minimum and maximum of every image, in the format of the request."""

    def __init__(self, outputs: int = 1) -> None:
        self.outputs = outputs

    def __call__(self, request: Outgoing) -> Incoming:
        body = json.loads(request.body)
        instances = body["instances"] if "instances" in body else body["inputs"]
        if isinstance(instances, dict):
            (instances,) = instances.values()
        rows = [self.scores(item) for item in instances]
        if "inputs" in body:
            several = {"scores": rows, "ids": [[index] for index in range(len(rows))]}
            return answer({"outputs": rows if self.outputs == 1 else several})
        return answer({"predictions": rows if self.outputs == 1 else [{"scores": row, "id": [3]} for row in rows]})

    def scores(self, item: Any) -> list[float]:
        value = next(iter(item.values())) if isinstance(item, dict) and "b64" not in item else item
        if isinstance(value, dict):
            image = np.asarray(Image.open(io.BytesIO(base64.b64decode(value["b64"])))) / 255
        else:
            image = np.array(value)
        return [float(image.mean()), float(image.min()), float(image.max())]


@pytest.mark.parametrize("form", ["row", "column"])
@pytest.mark.parametrize("options", [{}, {"input": "x"}, {"input": "x_bytes"}, {"layout": "NCHW"}])
def test_answers_come_back_in_order(options: dict[str, Any], form: str) -> None:
    request_protocol = protocol(format=form, **options)
    assert request_protocol.sends_files == ("_bytes" in options.get("input", ""))
    expected = [np.array([f(image.pixels) / 255 for f in (np.mean, np.min, np.max)]) for image in TWO]
    assert np.allclose(ask(request_protocol, TWO, Server()), expected, rtol=1e-6)
    assert np.allclose(ask(request_protocol, TWO[::-1], Server()), expected[::-1], rtol=1e-6)
    assert not np.allclose(expected[0], expected[1], rtol=1e-3)
    chosen = protocol(format=form, output="scores", **options)
    assert ask(chosen, TWO, Server(outputs=2)) == ask(request_protocol, TWO, Server())


@pytest.mark.parametrize("key", ["result", "results"])
def test_classes_are_labels_with_scores(key: str) -> None:
    request_protocol = protocol(URL.replace("predict", "classify"), datatype="BYTES")
    body = {key: [[["a: b", 0.9], ["犬", 0.1]], [["a: b", 0.25]]]}
    assert request_protocol.read(answer(body), 2) == [{"a: b": 0.9, "犬": 0.1}, {"a: b": 0.25}]


def test_one_image_and_labels_alone() -> None:
    assert protocol().read(answer({"predictions": ["cat", "a:b"]}), 2) == ["cat", "a:b"]
    (scores,) = protocol(format="column").read(answer({"outputs": [0.5, 0.25]}), 1)
    assert isinstance(scores, np.ndarray)
    assert scores.tolist() == [0.5, 0.25]


def test_an_error_with_status_200_is_busy() -> None:
    error = fault(protocol(), answer({"error": "queue is full"}))
    assert (error.kind, error.reason) == (FaultKind.BUSY, "the endpoint says: queue is full")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "expected JSON"),
        ([], "expected a list of answers"),
        ({}, "expected a list of answers"),
        ({"outputs": [[1, 2], [3, 4]]}, "expected a list of answers"),  # of the other format
        ({"predictions": "cat"}, "expected a list of answers"),
        ({"predictions": [[1, 2]]}, "expected 2 answers, one per image, got 1"),
        ({"predictions": [[1, 2]] * 3}, "expected 2 answers, one per image, got 3"),
        ({"predictions": [[1, 2], [3]]}, "expected two or more scores"),
        ({"predictions": [[1, 2], 3]}, "expected two or more scores"),
        ({"predictions": [[1, 2], [3, float("nan")]]}, "expected finite scores, got nan"),
        ({"predictions": [[1, 2], [3, "4"]]}, "expected finite scores, got 4"),
        ({"predictions": [[1, 2], [3, True]]}, "expected finite scores, got True"),
        ({"predictions": [[1, 2], [3, 10**400]]}, "expected finite scores"),
        ({"predictions": [[1, 2], [[3, 4], [5, 6]]]}, "expected pairs of label and score"),
        ({"predictions": [[1, 2], [["a", 4], ["b"]]]}, "expected pairs of label and score"),
        ({"predictions": [[1, 2], [["a", 4], ["b", None]]]}, "expected a label with a finite score, got b: None"),
        ({"predictions": [{"a": [1, 2]}, {"a": [1, 2], "b": [1]}]}, "one output (choose with option 'output')"),
    ],
)
def test_what_cannot_be_read_is_garbled(body: object, reason: str) -> None:
    assert reason in garbled(protocol(), body)


def test_a_missing_output_is_named() -> None:
    assert "expected output 'p', got ['a']" in garbled(protocol(output="p"), {"predictions": [{"a": [1, 2]}] * 2})


# Metadata ----------------------------------------------------------------------------------------------------------


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in shape]}, "name": "t:0"}


def metadata(inputs: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    outputs = {"y": tensor("DT_FLOAT", -1, 10)} if outputs is None else outputs
    signature = {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}
    definition = {"signature_def": {"serving_default": signature}}
    return {"model_spec": {"name": "m", "version": "1"}, "metadata": {"signature_def": definition}}


def discover(reply: Incoming, **options: Any) -> tuple[TFServing, Declared]:
    queries: list[Outgoing] = []

    def get(request: Outgoing) -> Incoming:
        queries.append(request)
        return reply

    request_protocol = protocol(**options)
    declared = request_protocol.discover(get)
    urls = ["http://host:8501/v1/models/m", "http://host:8501/v1/models/m/metadata"]
    assert [(request.url, request.method) for request in queries] == [(url, "GET") for url in urls]
    return request_protocol, declared


@pytest.mark.parametrize(
    ("inputs", "declared", "item"),
    [
        (
            tensor("DT_FLOAT", -1, 32, 48, 3),
            Declared((32, 48), 10),
            [[[0.0, 0.5019608, 1.0], [0.2, 0.003921569, 0.007843138]]],
        ),
        (tensor("DT_UINT8", -1, -1, -1, 3), Declared(None, 10), [[[0, 128, 255], [51, 1, 2]]]),
        (tensor("DT_INT32", 1, 3, 32, 48), Declared((32, 48), 10, max_batch=1), [[[0, 51]], [[128, 1]], [[255, 2]]]),
        (tensor("DT_STRING", -1), Declared(None, 10), {"b64": "QUJD"}),
        (
            {"dtype": "DT_STRING", "tensor_shape": {"dim": [], "unknown_rank": True}},
            Declared(None, 10),
            {"b64": "QUJD"},
        ),
    ],
)
def test_the_form_of_the_image_follows_from_the_signature(
    inputs: dict[str, Any], declared: Declared, item: Any
) -> None:
    result, description = discover(answer(metadata({"x": inputs})))
    assert description == declared
    assert result.max_batch == declared.max_batch
    assert json.loads(result.request([Picture(PIXELS, b"ABC", "image/png")]).body) == {"instances": [{"x": item}]}


@pytest.mark.parametrize(
    ("body", "options", "error", "words"),
    [
        (
            metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 3), "b": tensor("DT_FLOAT", -1)}),
            {},
            ConfigError,
            "choose one of a, b",
        ),
        (metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 3)}), {"input": "b"}, ConfigError, "no input 'b'; it has: a"),
        (metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 3)}), {"signature": "serve"}, ConfigError, "no signature 'serve'"),
        (metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 3)}), {"output": "z"}, ConfigError, "has the outputs y"),
        (
            metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 3)}, {"p": tensor("DT_FLOAT", -1, 3), "q": {}}),
            *({}, ConfigError, "outputs p, q: choose one"),
        ),
        (metadata({"a": tensor("DT_FLOAT", -1, 8, 8, 1)}), {}, EndpointError, "expected texts, or numbers of a shape"),
        (metadata({"a": tensor("DT_FLOAT", -1, 64)}), {}, EndpointError, "expected texts, or numbers of a shape"),
        (metadata({"a": tensor("DT_COMPLEX64", -1, 8, 8, 3)}), {}, EndpointError, "takes DT_COMPLEX64"),
        (metadata({"a": tensor("DT_STRING", -1)}), {"range": "unit"}, ConfigError, "leave out option 'range'"),
        (metadata({}), {}, ConfigError, "has no input"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_paid(
    body: dict[str, Any], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        discover(answer(body), **options)


def test_metadata_are_not_needed_but_a_missing_model_is_an_error() -> None:
    for reply in (answer(b"no route", 404), answer([1]), answer({"metadata": 3}), answer({}, 500)):
        assert discover(reply)[1] == Declared()
    with pytest.raises(EndpointError, match="404: Servable not found for request: Latest"):
        discover(answer({"error": "Servable not found for request: Latest(m)"}, 404))


def test_a_model_is_waited_for_while_it_is_loaded() -> None:
    def status(*states: str) -> Incoming:
        versions = [{"version": str(number), "state": state} for number, state in enumerate(states)]
        return answer({"model_version_status": versions})

    def get(request: Outgoing) -> Incoming:
        is_status = not request.url.endswith("/metadata")
        if is_status:
            return replies.pop(0) if len(replies) > 1 else replies[0]
        return answer(metadata({"x": tensor("DT_FLOAT", -1, 32, 48, 3)}))

    waits: list[float] = []
    request_protocol = protocol()
    request_protocol.pause = waits.append
    for last in (status("END", "AVAILABLE"), status("END"), answer(b"no", 404), answer({"model_version_status": 3})):
        replies = [status("START"), status("END", "LOADING"), last]
        waits.clear()
        assert request_protocol.discover(get).num_outputs == 10
        assert len(waits) == 2
    replies = [status("LOADING")]
    with pytest.raises(EndpointError, match="is not ready: LOADING"):
        request_protocol.discover(get)
    assert sum(waits) > 50


@pytest.mark.parametrize(
    ("url", "datatype"),
    [
        ("http://h/v1/models/m", "http://h/v1/models/m:predict"),
        ("http://h/p/v1/models/m/versions/3:predict?x=1", "http://h/p/v1/models/m/versions/3:predict?x=1"),
        ("http://h/v1/models/m/labels/stable:classify", "http://h/v1/models/m/labels/stable:classify"),
    ],
)
def test_every_form_of_url(url: str, datatype: str) -> None:
    assert protocol(url).request(TWO).url == datatype


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("http://h/v1/models", {}, "expected a URL like"),
        ("http://h/v1/models/m:regress", {}, "expected a URL like"),
        (URL, {"format": "rows"}, "one of row, column"),
        (URL, {"inputs": "x"}, "Did you mean 'input'"),
        (URL, {"datatype": "BYTES", "range": "unit"}, "leave out option 'range'"),
        (URL.replace("predict", "classify"), {"format": "column"}, "no column format"),
    ],
)
def test_options_that_make_no_sense(url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        protocol(url, **options)
