"""A tiny model to serve, images for it, and the requests of a client that was written from the protocol's text."""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.models import TorchModel
from pixprompt.serving import Request, Response, Service

SIZE = (6, 8)
LABELS = ("cat", "dog: big", "crab, king", "été", "bus")
INFER = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"


class Linear(nn.Module):
    """Scores that depend on every value of the image."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(3 * SIZE[0] * SIZE[1], len(LABELS), generator=draw) / 5)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def make_model(seed: int = 0, answer: AnswerKind = AnswerKind.LOGITS) -> TorchModel:
    spec = ModelSpec("python:toy:tiny@6x8", SIZE, len(LABELS), answer=answer, labels=LABELS)
    return TorchModel(Linear(seed), spec, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5), owned=True)


def make_service(**options: Any) -> Service:
    return Service(options.pop("model", None) or make_model(), name="tiny", **options)


def make_pixels(num: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, *SIZE, 3), dtype=np.uint8)


def to_images(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 255


def expected(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """The answers of the model itself."""
    with torch.no_grad():
        return np.asarray(make_model(seed)(to_images(pixels)).numpy())


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def tensor(datatype: str, shape: list[int], **fields: Any) -> dict[str, Any]:
    return {"name": "images", "datatype": datatype, "shape": shape, **fields}


def json_request(entry: dict[str, Any], **fields: Any) -> Request:
    body = json.dumps({"inputs": [entry], **fields}).encode()
    return Request("POST", INFER, {"content-type": "application/json"}, body)


def raw_request(datatype: str, shape: list[int], raw: bytes, **fields: Any) -> Request:
    entry = tensor(datatype, shape, parameters={"binary_data_size": len(raw)})
    head = json.dumps({"inputs": [entry], **fields}).encode()
    headers = {"content-type": "application/octet-stream", LENGTH.lower(): str(len(head))}
    return Request("POST", INFER, headers, head + raw)


def with_lengths(items: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def requests_for(pixels: np.ndarray, **fields: Any) -> dict[str, Request]:
    """The same images in every form."""
    num, floats = len(pixels), to_images(pixels).numpy()
    last, first = [num, *SIZE, 3], [num, 3, *SIZE]
    files = [file_of(image) for image in pixels]
    texts = [base64.b64encode(content).decode() for content in files]
    swapped = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return {
        "uint8 flat": json_request(tensor("UINT8", last, data=pixels.ravel().tolist()), **fields),
        "uint8 nested": json_request(tensor("UINT8", last, data=pixels.tolist()), **fields),
        "uint8 channels first": json_request(tensor("UINT8", first, data=swapped.tolist()), **fields),
        "uint8 raw": raw_request("UINT8", last, pixels.tobytes(), **fields),
        "fp32 flat": json_request(tensor("FP32", first, data=floats.ravel().tolist()), **fields),
        "fp32 nested": json_request(tensor("FP32", first, data=floats.tolist()), **fields),
        "fp32 raw": raw_request("FP32", first, floats.astype("<f4").tobytes(), **fields),
        "fp32 channels last": raw_request("FP32", last, (pixels.astype("<f4") / 255).astype("<f4").tobytes(), **fields),
        "files": json_request(tensor("BYTES", [num], data=texts), **fields),
        "files nested": json_request(tensor("BYTES", [num, 1], data=[[text] for text in texts]), **fields),
        "files raw": raw_request("BYTES", [num, 1], with_lengths(files), **fields),
    }


def rows_of(response: Response) -> np.ndarray:
    """The answers (N, S) of a JSON or binary response, checked for what every response must say."""
    assert response.status == 200, response.body
    if response.headers["Content-Type"] == "application/json":
        (output,) = json.loads(response.body)["outputs"]
        values = np.array(output["data"], np.float32)
    else:
        length = int(response.headers[LENGTH])
        (output,) = json.loads(response.body[:length])["outputs"]
        assert output["parameters"]["binary_data_size"] == len(response.body) - length
        values = np.frombuffer(response.body[length:], "<f4")
    assert (output["name"], output["datatype"]) == ("outputs", "FP32")
    return values.reshape(output["shape"])


def error_of(response: Response) -> str:
    """The words of a refusal, which has no other fields and no traceback."""
    payload = json.loads(response.body)
    assert list(payload) == ["error"]
    assert "Traceback" not in payload["error"]
    return str(payload["error"])
