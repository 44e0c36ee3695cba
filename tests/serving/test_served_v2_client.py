"""The endpoint as the v2 client of this package sees it: two readings of one protocol text, made apart."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pixprompt.canvas.encoding import encoder_of
from pixprompt.core import AnswerKind
from pixprompt.remote.messages import Fault, Incoming, Outgoing, Picture
from pixprompt.remote.protocol import Endpoint
from pixprompt.remote.protocols.v2.protocol import V2
from pixprompt.serving import Request

from .toy import LABELS, SIZE, expected, make_pixels, make_service

SERVICE = make_service()


def send(outgoing: Outgoing) -> Incoming:
    headers = {name.lower(): value for name, value in outgoing.headers.items()}
    path = outgoing.url.removeprefix("http://h")
    response = SERVICE.respond(Request(outgoing.method, path, headers, outgoing.body))
    return Incoming(response.status, {name.lower(): text for name, text in response.headers.items()}, response.body)


def client(**options: Any) -> V2:
    protocol = V2(Endpoint("http://h/v2/models/tiny", "v2", options=options))
    declared = protocol.discover(send)
    assert declared.image_size == (None if options.get("datatype") == "BYTES" else SIZE)
    assert (declared.num_outputs, declared.labels) == (len(LABELS), LABELS)
    assert declared.answer is (AnswerKind.TOP_K if "classification" in options else AnswerKind.LOGITS)
    return protocol


def pictures(num: int) -> list[Picture]:
    encode, media_type = encoder_of("png")
    return [Picture(pixels, encode(pixels), media_type) for pixels in make_pixels(num)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"binary": False},
        {"datatype": "FP32"},
        {"datatype": "FP32", "binary": False},
        {"datatype": "BYTES"},
        {"datatype": "BYTES", "bytes": "base64", "binary": False},
    ],
)
def test_the_client_gets_the_answers_of_the_model(options: dict[str, Any]) -> None:
    protocol = client(**options)
    actual = protocol.read(send(protocol.request(pictures(3))), 3)
    np.testing.assert_allclose(actual, expected(make_pixels(3)), rtol=0, atol=1e-5)


def test_the_client_gets_the_best_classes_by_name() -> None:
    protocol = client(classification=2)
    actual = protocol.read(send(protocol.request(pictures(2))), 2)
    for reply, row in zip(actual, expected(make_pixels(2)), strict=True):
        best = np.argsort(-row)[:2]
        assert reply == pytest.approx({LABELS[index]: row[index] for index in best}, abs=1e-5)


def test_the_client_reads_a_refusal_as_what_it_is() -> None:
    wrong = send(Outgoing("http://h/v2/models/tiny/infer", b"{}", {"Content-Type": "application/json"}))
    assert wrong.status == 400
    with pytest.raises(Fault, match="inputs is a list"):
        client().read(wrong, 1)
    assert json.loads(wrong.body) == {"error": "inputs is a list of the one input 'images'."}
