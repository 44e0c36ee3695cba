"""What the endpoint answers: the model's own numbers, in every form of request and response."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from pixprompt.core import AnswerKind, ConfigError
from pixprompt.models import as_model, load_model
from pixprompt.serving import Request, Service, served_name

from .toy import (
    INFER,
    LABELS,
    LENGTH,
    SIZE,
    error_of,
    expected,
    file_of,
    json_request,
    make_model,
    make_pixels,
    make_service,
    raw_request,
    requests_for,
    rows_of,
    tensor,
    to_images,
    with_lengths,
)

FORMS = tuple(requests_for(make_pixels(1)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_gets_the_answers_of_the_model(form: str) -> None:
    pixels, service = make_pixels(), make_service()
    rows = rows_of(service.respond(requests_for(pixels)[form]))
    np.testing.assert_allclose(rows, expected(pixels), rtol=0, atol=1e-5)
    assert not np.allclose(rows, expected(255 - pixels), atol=0.1)  # negative control


@settings(max_examples=25)
@given(num=st.integers(1, 5), seed=st.integers(0, 99), form=st.sampled_from(FORMS), binary=st.booleans())
def test_binary_and_json_answers_are_the_same_numbers(num: int, seed: int, form: str, binary: bool) -> None:
    pixels, service = make_pixels(num, seed), make_service()
    target = [{"name": "outputs", "parameters": {"binary_data": binary}}]
    rows = rows_of(service.respond(requests_for(pixels, outputs=target)[form]))
    plain = rows_of(service.respond(requests_for(pixels)["uint8 raw"]))
    np.testing.assert_array_equal(rows, plain)


def test_a_batch_gets_the_answers_of_its_images_one_by_one() -> None:
    pixels, service = make_pixels(130), make_service()  # more than the model is asked at once
    together = rows_of(service.respond(requests_for(pixels)["uint8 raw"]))
    alone = [rows_of(service.respond(requests_for(pixels[i : i + 1])["uint8 raw"]))[0] for i in (0, 63, 64, 129)]
    np.testing.assert_allclose(together[[0, 63, 64, 129]], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_answers_neither_hang_on_the_global_seed_nor_move_it(seed: int) -> None:
    torch.manual_seed(seed)
    before = torch.get_rng_state()
    rows = rows_of(make_service().respond(requests_for(make_pixels())["fp32 raw"]))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_allclose(rows, expected(make_pixels()), rtol=0, atol=1e-5)


def test_a_jpeg_is_what_it_decodes_to() -> None:
    content = file_of(make_pixels(1)[0], "JPEG")
    rows = rows_of(make_service().respond(raw_request("BYTES", [1], with_lengths([content]))))
    assert rows.shape == (1, len(LABELS))
    assert not np.allclose(rows, expected(make_pixels(1)), atol=1e-3)  # lossy: other pixels than the source's


def test_identity_name_and_version_come_back() -> None:
    request = requests_for(make_pixels(1), id="request 7", parameters={"anything": 1})["uint8 flat"]
    answer = json.loads(make_service().respond(request).body)
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("tiny", "1", "request 7")
    versioned = replace(request, path="/v2/models/tiny/versions/1/infer")
    assert json.loads(make_service().respond(versioned).body) == answer


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("count", "listed"), [(1, 1), (3, 3), (99, 5)])
def test_the_best_classes_with_their_labels(count: int, listed: int, binary: bool) -> None:
    pixels = make_pixels(2)
    parameters = {"classification": count, "binary_data": binary}
    request = requests_for(pixels, outputs=[{"name": "outputs", "parameters": parameters}])["uint8 raw"]
    response = make_service().respond(request)
    length = int(response.headers.get(LENGTH, len(response.body)))
    (output,) = json.loads(response.body[:length])["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, listed])
    texts, rest = output.get("data", []), response.body[length:]
    while rest:
        (size,) = struct.unpack("<I", rest[:4])
        texts, rest = [*texts, rest[4 : 4 + size].decode()], rest[4 + size :]
    entries = [text.split(":", 2) for text in texts]
    rows = rows_of(make_service().respond(requests_for(pixels)["uint8 raw"]))
    order = np.argsort(-rows, axis=1)[:, :listed].ravel()
    assert [int(index) for _, index, _ in entries] == order.tolist()
    assert [label for _, _, label in entries] == [LABELS[index] for index in order]
    values = np.array([value for value, _, _ in entries], np.float32)
    np.testing.assert_array_equal(values, np.sort(rows, axis=1)[:, ::-1][:, :listed].ravel())  # not one bit is lost


def test_equal_scores_keep_the_order_of_their_indices() -> None:
    model = as_model(lambda images: torch.zeros(len(images), 4), image_size=SIZE, name="flat")
    outputs = [{"name": "outputs", "parameters": {"classification": 3}}]
    response = make_service(model=model).respond(requests_for(make_pixels(1), outputs=outputs)["uint8 flat"])
    assert json.loads(response.body)["outputs"][0]["data"] == ["0:0", "0:1", "0:2"]


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    pixels = make_pixels()
    rows = rows_of(make_service(answer=AnswerKind.PROBABILITIES).respond(requests_for(pixels)["uint8 raw"]))
    powers = np.exp(expected(pixels).astype(np.float64))
    np.testing.assert_allclose(rows, powers / powers.sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("kind", [AnswerKind.PROBABILITIES, AnswerKind.EMBEDDINGS])
def test_what_a_model_answers_is_not_turned_into_what_it_cannot_be(kind: AnswerKind) -> None:
    assert make_service(model=make_model(answer=kind)).answer is kind
    with pytest.raises(ConfigError, match=f"answers with {kind}, which cannot be turned into logits"):
        make_service(model=make_model(answer=kind), answer=AnswerKind.LOGITS)


def test_embeddings_are_served_and_have_no_classes() -> None:
    service = make_service(model=make_model(answer=AnswerKind.EMBEDDINGS))
    assert service.metadata()["outputs"][0]["parameters"]["answer"] == "embeddings"
    np.testing.assert_allclose(
        rows_of(service.respond(requests_for(make_pixels())["uint8 raw"])), expected(make_pixels()), atol=1e-5
    )
    outputs = [{"name": "outputs", "parameters": {"classification": 1}}]
    refused = service.respond(requests_for(make_pixels(), outputs=outputs)["uint8 raw"])
    assert refused.status == 400
    assert "leave out classification" in error_of(refused)


@pytest.mark.slow
@pytest.mark.assets
def test_a_real_dual_encoder_is_served_as_it_answers(assets: Path) -> None:
    model = load_model(f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}")
    pixels = np.random.default_rng(0).integers(0, 256, (3, *model.spec.image_size, 3), dtype=np.uint8)
    shape = list(pixels.shape)
    rows = rows_of(make_service(model=model).respond(raw_request("UINT8", shape, pixels.tobytes())))
    np.testing.assert_allclose(rows, model(to_images(pixels)).detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_model_that_finds_its_labels_on_the_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="attribute `labels`"):
        make_service(model=as_model(lambda image: "a cat", takes="image", image_size=SIZE, name="talker"))
    closed = as_model(lambda image: "a cat", takes="image", image_size=SIZE, name="talker", labels=("dog", "cat"))
    rows = rows_of(make_service(model=closed).respond(requests_for(make_pixels(2))["uint8 raw"]))
    assert rows.tolist() == [[0, 1, 0], [0, 1, 0]]  # dog, cat, neither


def test_the_metadata_declare_one_input_and_name_its_other_forms() -> None:
    payload = json.loads(make_service(max_bytes=10_000).respond(Request("GET", "/v2/models/tiny")).body)
    (images,), (outputs,) = payload["inputs"], payload["outputs"]
    assert (payload["name"], payload["versions"], payload["platform"]) == ("tiny", ["1"], "pixprompt")
    assert (images["name"], images["datatype"], images["shape"]) == ("images", "UINT8", [-1, 6, 8, 3])
    assert images["parameters"]["FP32"].startswith("[-1,3,6,8]: ")
    assert images["parameters"]["BYTES"].startswith("[-1]: ")
    assert images["parameters"]["max_images"] == 10_000 // (6 * 8 * 3)
    assert (outputs["name"], outputs["datatype"], outputs["shape"]) == ("outputs", "FP32", [-1, 5])
    assert outputs["parameters"]["answer"] == "logits"
    assert json.loads(outputs["parameters"]["labels"]) == list(LABELS)
    assert all(
        isinstance(value, str | int) for value in (*images["parameters"].values(), *outputs["parameters"].values())
    )


def test_the_server_tells_about_itself() -> None:
    service = make_service(version="1.2.3")
    replies = {path: json.loads(service.respond(Request("GET", path)).body) for path in ("/v2", "/v2/health/live")}
    assert replies["/v2"]["version"] == "1.2.3"
    assert set(replies["/v2"]["extensions"]) == {"binary_tensor_data", "classification"}
    assert replies["/v2/health/live"] == {"live": True}
    assert json.loads(service.respond(Request("GET", "/v2/health/ready?x=1")).body) == {"ready": True}
    for path in ("/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready", "/v2/models/t%69ny/ready/"):
        assert json.loads(service.respond(Request("GET", path)).body) == {"name": "tiny", "ready": True}


def test_names_fit_into_a_path() -> None:
    assert served_name("open_clip:ViT-B-32/laion2b_s34b") == "open_clip-ViT-B-32-laion2b_s34b"
    assert served_name("../..") == "model"
    assert Service(make_model()).name == "python-toy-tiny-6x8"
    with pytest.raises(ConfigError, match="letters, digits"):
        Service(make_model(), name="a/b")


def test_the_delay_is_waited_before_each_answer() -> None:
    waited: list[float] = []
    service = make_service(delay=0.25, sleep=waited.append)
    service.respond(requests_for(make_pixels(70))["uint8 raw"])
    service.respond(Request("GET", "/v2"))
    assert waited == [0.25]


def test_numbers_at_the_border_of_the_range_are_taken() -> None:
    data = [0, 1.0] * (3 * SIZE[0] * SIZE[1] // 2)
    assert rows_of(make_service().respond(json_request(tensor("FP32", [1, 3, *SIZE], data=data)))).shape == (1, 5)
    assert INFER.startswith("/v2/models/")
