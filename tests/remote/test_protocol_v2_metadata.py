"""What is learned from the metadata of v2 servers, and how long readiness is waited for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pixprompt.core import AnswerKind, ConfigError, EndpointError
from pixprompt.remote.messages import Incoming, Outgoing
from pixprompt.remote.protocol import Declared, Endpoint
from pixprompt.remote.protocols.v2.protocol import V2

from .protocol_helpers import answer, picture

TRITON = ["classification", "model_configuration", "binary_tensor_data"]
ROWS = {"name": "y", "datatype": "FP32", "shape": [-1, 10]}


class Server:
    """GET routes of one v2 server; everything else is 404. `unready` counts the 400 before each route is ready."""

    def __init__(
        self,
        *inputs: dict[str, Any],
        outputs: tuple[dict[str, Any], ...] = (ROWS,),
        extensions: tuple[str, ...] | list[str] = (),
        config: dict[str, Any] | None = None,
        unready: int = 0,
        path: str = "/v2/models/m",
    ) -> None:
        self.paths: list[str] = []
        self.unready = {"/v2/health/ready": unready, f"{path}/ready": unready}
        self.routes: dict[str, object] = {
            "/v2": {"name": "server", "extensions": list(extensions)},
            path: {"name": "m", "inputs": list(inputs), "outputs": list(outputs)},
            f"{path}/config": config or {},
        }

    def __call__(self, request: Outgoing) -> Incoming:
        assert request.method == ("POST" if request.url.endswith("/repository/index") else "GET")
        assert request.body == b""
        path = request.url.removeprefix("http://host:8000")
        self.paths.append(path)
        if path in self.unready:
            self.unready[path] -= 1
            return answer(b"", 200 if self.unready[path] < 0 else 400)
        result = self.routes.get(path)
        return answer({"error": "not found"}, 404) if result is None else answer(result)


def tensor(datatype: str, *shape: int, name: str = "x") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def discover(server: Server, url: str = "http://host:8000/v2/models/m", **options: Any) -> tuple[V2, Declared]:
    protocol = V2(Endpoint(url, "v2", options=options))
    protocol.pause = lambda seconds: None
    return protocol, protocol.discover(server)


def sent_input(protocol: V2, count: int = 1) -> dict[str, Any]:
    request = protocol.request([picture(seed) for seed in range(count)])
    length = int(request.headers.get("Inference-Header-Content-Length", len(request.body)))
    payload: dict[str, Any] = json.loads(request.body[:length])["inputs"][0]
    return payload


@pytest.mark.parametrize(
    ("inputs", "shape", "declared"),
    [
        (tensor("FP32", -1, 3, 32, 48), [2, 3, 2, 3], Declared((32, 48), 10)),
        (tensor("FP32", -1, 32, 48, 3), [2, 2, 3, 3], Declared((32, 48), 10)),
        (tensor("UINT8", -1, -1, -1, 3), [2, 2, 3, 3], Declared(None, 10)),
        (tensor("FP16", -1, 3, -1, -1), [2, 3, 2, 3], Declared(None, 10)),
        (tensor("FP32", 1, 3, 32, 48), [1, 3, 2, 3], Declared((32, 48), 10, max_batch=1)),
        (tensor("FP32", 3, 32, 48), [3, 2, 3], Declared((32, 48), 10, max_batch=1)),
        (tensor("UINT8", 32, 48, 3), [2, 3, 3], Declared((32, 48), 10, max_batch=1)),
        (tensor("BYTES", -1), [2], Declared(None, 10)),
        (tensor("BYTES", -1, 1), [2, 1], Declared(None, 10)),
        (tensor("BYTES", 1), [1], Declared(None, 10, max_batch=1)),
    ],
)
def test_the_form_of_the_image_follows_from_the_shape(
    inputs: dict[str, Any], shape: list[int], declared: Declared
) -> None:
    protocol, result = discover(Server(inputs, extensions=["binary_tensor_data"]))
    assert result == declared
    assert protocol.max_batch == declared.max_batch
    assert protocol.sends_files == (inputs["datatype"] == "BYTES")
    entry = sent_input(protocol, declared.max_batch or 2)
    assert (entry["name"], entry["shape"], entry["datatype"]) == ("x", shape, inputs["datatype"])


@pytest.mark.parametrize(
    ("inputs", "options", "error", "words"),
    [
        ([tensor("FP32", -1, -1, -1, -1)], {}, EndpointError, "give option 'layout'"),
        ([tensor("FP32", -1, 1, 28, 28)], {}, EndpointError, "takes RGB images: x FP32"),
        ([tensor("FP32", -1, 16)], {}, EndpointError, "takes RGB images"),
        ([tensor("FP32", 4, 3, 32, 32)], {}, EndpointError, "exactly 4 images per request"),
        ([tensor("BYTES", -1)], {}, ConfigError, "does not list the binary extension"),
        ([tensor("FP32", -1, 3, 8, 8), tensor("FP32", -1, 4, name="state")], {}, ConfigError, "has 2 inputs"),
        ([tensor("FP32", -1, 3, 8, 8)], {"input": "X"}, ConfigError, "no input 'X'"),
        ([tensor("FP32", -1, 3, 8, 8)], {"output": "yy"}, ConfigError, "no output 'yy'. Did you mean 'y'?"),
        ([tensor("UINT8", -1, 3, 8, 8)], {"range": "unit"}, ConfigError, "leave out option 'range'"),
        ([tensor("FP32", -1, 3, 8, 8)], {"classification": 3}, ConfigError, "no classification extension"),
        ([], {}, ConfigError, "has 0 inputs"),
        ([{"shape": [1]}], {}, EndpointError, "list of named inputs"),
        ([{"name": "x", "datatype": "FP32", "shape": "wide"}], {}, EndpointError, "a shape of whole numbers"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_paid(
    inputs: list[Any], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    extensions = ["statistics"] if "classification" in options else []
    with pytest.raises(error, match=words.replace("?", r"\?")):
        discover(Server(*inputs, extensions=extensions), **options)


def test_options_choose_among_inputs_and_settle_what_a_shape_leaves_open() -> None:
    server = Server(tensor("FP32", -1, -1, -1, -1), tensor("FP32", -1, 4, name="state"))
    protocol, _ = discover(server, input="x", layout="NHWC")
    assert sent_input(protocol)["shape"] == [1, 2, 3, 3]


def test_a_server_that_decodes_files_for_a_model_of_numbers() -> None:
    for options in ({}, {"input": "x"}):
        server = Server(tensor("FP32", -1, 32, 32, 3), extensions=TRITON)
        protocol, _ = discover(server, datatype="BYTES", **options)
        assert (sent_input(protocol, 2)["shape"], protocol.sends_files) == ([2], True)


def test_outputs_are_chosen_by_shape_or_name() -> None:
    image, features = tensor("FP32", -1, 3, 8, 8), tensor("FP32", -1, 49, 768, name="features")
    protocol, result = discover(Server(image, outputs=(features, ROWS)))
    assert (protocol.output.name, result.num_outputs) == ("y", 10)
    with pytest.raises(ConfigError, match="several outputs"):
        discover(Server(image, outputs=(ROWS, {**ROWS, "name": "z"})))
    assert discover(Server(image, outputs=(ROWS, {**ROWS, "name": "z"})), output="z")[0].output.name == "z"
    assert discover(Server(image, outputs=()))[0].output.name is None
    assert discover(Server(image, outputs=(tensor("BYTES", -1, 1, name="y"),)))[1].answer is AnswerKind.LABEL


def test_extensions_are_used_where_they_are_listed() -> None:
    server = Server(tensor("FP32", -1, 3, 8, 8), extensions=TRITON, config={"max_batch_size": 16})
    protocol, result = discover(server, classification=3)
    assert result == Declared((8, 8), 10, answer=AnswerKind.TOP_K, max_batch=16)
    assert protocol.binary
    assert discover(server, classification=10)[1].answer is None  # all of them
    assert not discover(server, binary=False)[0].binary
    assert not discover(Server(tensor("FP32", -1, 3, 8, 8)))[0].binary


def test_readiness_is_waited_for_and_not_for_ever() -> None:
    server = Server(tensor("FP32", -1, 3, 8, 8), unready=3)
    discover(server)
    assert server.paths[:9] == ["/v2/health/ready"] * 4 + ["/v2"] + ["/v2/models/m/ready"] * 4
    pauses: list[float] = []
    protocol = V2(Endpoint("http://host:8000/v2/models/m", "v2"))
    protocol.pause = pauses.append
    with pytest.raises(EndpointError, match=r"is not ready: .*/v2/health/ready answers 400"):
        protocol.discover(Server(unready=10**6))
    assert 30 < sum(pauses) < 120


def test_a_model_that_does_not_exist_is_not_waited_for() -> None:
    protocol = V2(Endpoint("http://host:8000/v2/models/nn", "v2"))
    protocol.pause = lambda seconds: pytest.fail("waited")
    with pytest.raises(EndpointError, match=r"404: .*not found.*is there such a model"):
        protocol.discover(Server(tensor("FP32", -1, 3, 8, 8)))
    unknown = answer({"error": "Request for unknown model: 'nn' is not found"}, 400)
    with pytest.raises(EndpointError, match="unknown model"):
        protocol.discover(lambda options: unknown if options.url.endswith("nn/ready") else answer(b""))
    with pytest.raises(EndpointError, match="answers 401"):
        protocol.discover(lambda options: answer({"error": "who?"}, 401))


def test_an_endpoint_that_shows_no_metadata_is_described_by_options() -> None:
    protocol = V2(Endpoint("http://host:8000/v2/models/m", "v2", options={"input": "x"}))
    protocol.pause = lambda seconds: None
    assert protocol.discover(lambda options: answer({"error": "no route"}, 404)) == Declared()
    assert sent_input(protocol)["name"] == "x"
    with pytest.raises(ConfigError, match="nothing is known about the input"):
        V2(Endpoint("http://host:8000/v2/models/m", "v2")).request([picture(0)])


@pytest.mark.parametrize(
    ("url", "options", "path"),
    [
        ("http://host:8000/v2/models/m", {}, "/v2/models/m"),
        ("http://host:8000/v2/models/m/infer", {}, "/v2/models/m"),
        ("http://host:8000/v2/models/m/versions/3", {}, "/v2/models/m/versions/3"),
        ("http://host:8000/v2/models/m/versions/3/infer/", {}, "/v2/models/m/versions/3"),
        ("http://host:8000", {"model": "m"}, "/v2/models/m"),
        ("http://host:8000/v2/", {"model": "a/b", "version": "7"}, "/v2/models/a%2Fb/versions/7"),
        ("http://host:8000/serving/v2/models/m", {}, "/serving/v2/models/m"),
    ],
)
def test_the_model_is_found_in_every_form_of_url(url: str, options: dict[str, Any], path: str) -> None:
    protocol = V2(Endpoint(url, "v2", options={"input": "x", **options}))
    assert protocol.request([picture(0)]).url == f"http://host:8000{path}/infer"
    assert protocol.urls.health == "http://host:8000" + path.partition("/v2/")[0] + "/v2/health/ready"


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("http://host:8000", {}, "names no model"),
        ("http://host:8000/v2/models/m", {"model": "m"}, "name one each"),
        ("http://host:8000/v2/models/m", {"clasification": 3}, "Did you mean 'classification'"),
        ("http://host:8000/v2/models/m", {"classification": 0}, "whole number of at least 1"),
        ("http://host:8000/v2/models/m", {"binary": "yes"}, "true or false"),
        ("http://host:8000/v2/models/m", {"range": "percent"}, 'expected option "range"'),
        ("http://host:8000/v2/models/m", {"range": {"mean": [0, 0, 0], "std": [1, 1, 0]}}, 'expected option "range"'),
        ("http://host:8000/v2/models/m", {"range": {"mean": [0, 0], "std": [1, 1, 1]}}, 'expected option "range"'),
        ("http://host:8000/v2/models/m", {"input": "x", "layout": "CHW"}, "NCHW, NHWC, got 'CHW'"),
    ],
)
def test_options_that_make_no_sense(url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        V2(Endpoint(url, "v2", options=options))


def rows_that_say(**parameters: Any) -> dict[str, Any]:
    return {**tensor("FP32", -1, 3, name="y"), "parameters": parameters}


def said_by(output: dict[str, Any], **options: Any) -> Declared:
    extensions = ["classification"] if options else []
    return discover(Server(tensor("FP32", -1, 3, 8, 8), outputs=(output,), extensions=extensions), **options)[1]


@pytest.mark.parametrize("kind", ["logits", "probabilities", "embeddings", "top-k"])
def test_what_the_output_says_about_itself_is_declared(kind: str) -> None:
    result = said_by(rows_that_say(answer=kind, labels='["cat", "b: \\u72ac", "cat"]'))
    assert result == Declared((8, 8), 3, ("cat", "b: 犬", "cat"), AnswerKind(kind))


def test_of_the_best_classes_the_labels_are_declared_and_how_many_come_decides_on_the_kind() -> None:
    output = rows_that_say(answer="logits", labels='["cat", "dog", "crab"]')
    assert said_by(output, classification=2).answer is AnswerKind.TOP_K
    result = said_by(output, classification=3)
    assert (result.answer, result.labels) == (AnswerKind.LOGITS, ("cat", "dog", "crab"))


@pytest.mark.parametrize(
    "parameters",
    [
        {"labels": '["cat", "dog"]'},
        {"labels": '["cat", "dog", 3]'},
        {"labels": '["cat", "dog", ""]'},
        {"labels": "labels.txt"},
        {"labels": ["cat", "dog", "crab"]},
        {"labels": "[" * 100_000},
        {"labels": "9" * 5000},
        {"answer": "label"},  # numbers are none
        {"answer": "scores"},
        {"answer": ["logits"]},
        [],
        "labels",
    ],
)
def test_what_else_stands_there_means_something_else(parameters: object) -> None:
    output = {**tensor("FP32", -1, 3, name="y"), "parameters": parameters}
    assert said_by(output) == Declared((8, 8), 3)


@pytest.mark.parametrize("listed", [[{"name": "m"}, {"name": "other"}], [], {"error": "unavailable"}, "?"])
def test_a_model_that_triton_lists_is_waited_for_and_so_is_one_where_it_lists_none(listed: Any) -> None:
    server = Server(tensor("FP32", -1, 3, 8, 8), extensions=["model_repository"], unready=2)
    server.routes["/v2/repository/index"] = listed
    assert discover(server)[1].num_outputs == 10


def test_a_model_that_triton_does_not_list_is_not_waited_for() -> None:
    server = Server(tensor("FP32", -1, 3, 8, 8), extensions=["model_repository"], unready=0)
    server.unready["/v2/models/m/ready"] = 1000  # what Triton answers for an unknown one, for ever
    server.routes["/v2/repository/index"] = [{"name": "a"}, {"name": "b"}]
    with pytest.raises(EndpointError, match="has no model 'm'; it has: a, b"):
        discover(server)
    assert "/v2/models/m/ready" not in server.paths
