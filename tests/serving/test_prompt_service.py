"""A prompt, its model and its output transform as one endpoint: the answers are those of `deploy`."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

import pixprompt
from pixprompt.canvas import Canvas, Tone
from pixprompt.canvas.encoding import encode_png
from pixprompt.core import AnswerKind, BudgetError, EndpointError
from pixprompt.engine import Deployed
from pixprompt.outputs import make_output
from pixprompt.prompt import Committee
from pixprompt.remote import connect
from pixprompt.serving import PromptService, Request, Response, Server
from pixprompt.views import Pattern, View

from ..images import bomb, picture
from .toy import LENGTH, SIZE, error_of, json_request, make_model, make_pixels, raw_request, tensor, with_lengths

CLASSES = ("été", "dog", "crab")
INFER = "/v2/models/mine/infer"
BOTH = (View(size=0.7, frame=Pattern((255, 255, 255))), View(tone=Tone(invert=True)))


@pytest.fixture(scope="module", params=[BOTH[:1], BOTH], ids=["prompt", "committee"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    model, views = make_model(), request.param
    output = make_output("first-k", classes=CLASSES, spec=model.spec, views=len(views))
    pages = tuple(view.prompt(Canvas(SIZE)) for view in views)
    file = tmp_path_factory.mktemp("prompt") / "p.png"
    Committee(pages, output=output.to_json(), model=model.spec.name).save(file)
    with pixprompt.deploy(file, model=model) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def service(deployed: Deployed) -> PromptService:
    return PromptService(deployed, name="mine", version="1")


def outputs_of(response: Response) -> dict[str, dict[str, object]]:
    assert response.status == 200, response.body
    return {output["name"]: output for output in json.loads(response.body)["outputs"]}


def to(path: str, request: Request) -> Request:
    return Request(request.method, path, request.headers, request.body)


def jpeg_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_files_of_any_size_bring_labels_and_probabilities(service: PromptService, deployed: Deployed) -> None:
    files = [encode_png(np.asarray(picture(30, 20))), jpeg_of(picture(8, 50, seed=1)), encode_png(make_pixels(1)[0])]
    texts = [base64.b64encode(content).decode() for content in files]
    expected = [deployed(content) for content in files]
    forms = [json_request(tensor("BYTES", [3], data=texts)), raw_request("BYTES", [3, 1], with_lengths(files))]
    for request in forms:
        actual = outputs_of(service.respond(to(INFER, request)))
        assert list(actual) == ["label", "probabilities"]
        assert actual["label"]["data"] == [one.label for one in expected]
        assert (actual["label"]["datatype"], actual["label"]["shape"]) == ("BYTES", [3])
        assert actual["probabilities"]["shape"] == [3, 3]
        rows = np.array([list(one.probabilities.values()) for one in expected]).ravel()
        np.testing.assert_allclose(actual["probabilities"]["data"], rows, atol=1e-6)
    assert len({one.probability for one in expected}) == 3  # or it would see less than it says


@pytest.mark.parametrize("first", [True, False])
def test_pixels_bring_the_same_as_the_file_of_them(service: PromptService, deployed: Deployed, first: bool) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    tensor = pixels.transpose(0, 3, 1, 2) if first else pixels
    expected = [deployed(encode_png(one)).probabilities for one in pixels]
    for datatype, values in (("UINT8", tensor), ("FP32", (tensor / np.float32(255)).astype("<f4"))):
        request = raw_request(datatype, list(tensor.shape), np.ascontiguousarray(values).tobytes())
        actual = outputs_of(service.respond(to(INFER, request)))
        np.testing.assert_allclose(
            np.reshape(actual["probabilities"]["data"], (2, 3)), [list(one.values()) for one in expected], atol=1e-6
        )


def test_an_image_file_posted_as_it_is_brings_one_object(service: PromptService, deployed: Deployed) -> None:
    content = jpeg_of(picture(40, 30))
    with Server(service) as server, closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for kind in ("image/jpeg", "application/x-www-form-urlencoded"):  # the last one is what curl says
            connection.request("POST", "/predict", content, {"Content-Type": kind})
            reply = connection.getresponse()
            payload, expected = json.loads(reply.read()), deployed(content)
            assert (payload["label"], reply.status) == (expected.label, 200)
            assert payload["probability"] == pytest.approx(expected.probability)
            assert list(payload["probabilities"]) == list(CLASSES)
            assert payload["probabilities"] == pytest.approx(expected.probabilities)


def test_the_remote_models_of_this_package_understand_it(
    service: PromptService, deployed: Deployed, tmp_path: Path
) -> None:
    with Server(service) as server:
        remote = connect(server.url)
        assert (remote.spec.labels, remote.spec.answer) == (CLASSES, AnswerKind.PROBABILITIES)
        replies = remote.protocol.read(
            remote.sender.send(remote.protocol.request([remote.picture(make_pixels(1)[0])]), timeout=60), 1
        )
    expected = list(deployed(make_pixels(1)[0]).probabilities.values())
    np.testing.assert_allclose(np.asarray(replies[0]), expected, atol=1e-6)


def test_one_output_may_be_asked_for_and_in_bytes(service: PromptService) -> None:
    pixels = make_pixels(2)
    query = {"name": "label", "parameters": {"binary_data": True}}
    best = {"name": "probabilities", "parameters": {"classification": 1}}
    request = to(INFER, raw_request("UINT8", list(pixels.shape), pixels.tobytes(), outputs=[best, query]))
    response = service.respond(request)
    length = int(response.headers[LENGTH])
    first, second = json.loads(response.body[:length])["outputs"]
    labels = [text.split(":")[2] for text in first["data"]]
    assert (first["shape"], second["shape"]) == ([2, 1], [2])
    assert response.body[length:] == with_lengths([label.encode() for label in labels])


@pytest.mark.parametrize(
    ("path", "request_", "status", "words"),
    [
        ("/predict", Request("POST", "", {}, b"hello"), 400, "not a readable image"),
        ("/predict", Request("POST", "", {}, b""), 400, "not a readable image"),
        ("/predict", Request("GET", ""), 405, "GET is not possible here"),
        ("/predict", Request("POST", "", {"content-type": "multipart/form-data; boundary=x"}), 415, "--data-binary"),
        ("/predict", Request("POST", "", {}, bomb(9000, 9000)), 400, "81000000 pixels"),
        ("/else", Request("POST", "", {}, b""), 404, "/v2/models/mine"),
        (INFER, json_request(tensor("UINT8", [1, 4, 4, 4], data=[0] * 64)), 400, "[N, H, W, 3] or [N, 3, H, W]"),
        (INFER, json_request(tensor("FP32", [1, 1, 1, 3], data=[0, 2, 0])), 400, "values in [0, 1]"),
        (INFER, json_request(tensor("BYTES", [1], data=["aGVsbG8="])), 400, "not a readable image"),
        (INFER, json_request(tensor("BYTES", [300], data=["aGVsbG8="] * 300)), 413, "at most 256 images"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_is_refused(
    service: PromptService, path: str, request_: Request, status: int, words: str
) -> None:
    response = service.respond(to(path, request_))
    assert response.status == status
    assert words in error_of(response)


@pytest.mark.parametrize(("error", "status"), [(BudgetError("spent"), 503), (EndpointError("away"), 502)])
def test_what_the_model_behind_cannot_do_is_said(error: Exception, status: int) -> None:
    class Failing:
        classes = CLASSES

        def __call__(self, pictures: list[object]) -> list[object]:
            raise error

    response = PromptService(Failing(), name="mine").respond(
        Request("POST", "/predict", {}, encode_png(make_pixels(1)[0]))
    )  # type: ignore[arg-type]
    assert (response.status, error_of(response)) == (status, str(error))


@settings(derandomize=True)
@given(body=st.binary(max_size=60), path=st.sampled_from(["/predict", INFER, "/predict/", "/predict?x"]))
def test_no_bytes_make_it_stumble(service: PromptService, body: bytes, path: str) -> None:
    assert service.respond(Request("POST", path, {}, body)).status == 400
