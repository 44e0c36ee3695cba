"""A saved prompt with its model and output transform as one endpoint that answers in the user's classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ..canvas import Pixels, decode
from ..core import ImageError
from .messages import Request, RequestError, Response, json_response
from .outputs import Output
from .tensors import InputTensor, any_images
from .v2_service import V2Service, check_method

__all__ = ["MAX_PIXELS", "Labeler", "PromptService", "Reading", "check_size"]

MAX_PIXELS = 50_000_000
"""The most pixels of one image file in a request: while it is decoded, 150 MB of memory."""
_MAX_IMAGES = 256
_PREDICT = "/predict"


class Reading(Protocol):
    """What is read off one image; see `Prediction`."""

    @property
    def label(self) -> str:
        """The likeliest class."""
        ...

    @property
    def probability(self) -> float:
        """The probability of that class, in [0, 1]."""
        ...

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Class -> probability, in the order of the classes."""
        ...


class Labeler(Protocol):
    """Images in, labels out: `Deployed`."""

    @property
    def classes(self) -> Sequence[str]:
        """The user's classes."""
        ...

    def __call__(self, pictures: list[Any], /) -> Sequence[Reading]:
        """Reads a label off each PIL image or uint8 array."""
        ...


class PromptService(V2Service):
    """Answers with labels and probabilities; images may have any size, the prompt's canvas is made of them.

    Beside the protocol there is `POST /predict`: the body is one image file, the answer a JSON object.

    Args:
        labeler: Reads labels off images.
        name: Name of the model in paths; see `served_name`.
        max_bytes: The longest request.

    Raises:
        ConfigError: The name would need quoting in a path.
    """

    output_names = ("label", "probabilities")

    def __init__(self, labeler: Labeler, *, name: str, max_bytes: int = 64_000_000, version: str = "") -> None:
        super().__init__(name, max_bytes=max_bytes, version=version)
        self._labeler = labeler

    @property
    def classes(self) -> tuple[str, ...]:
        """The user's classes."""
        return tuple(self._labeler.classes)

    def tensors(self) -> dict[str, Any]:
        """Describes the input, image files or pixels of any size, and both outputs."""
        forms: dict[str, Any] = {
            "BYTES": "[-1]: image files of any size, in JSON as base64",
            "UINT8": "[-1,-1,-1,3]: RGB pixels, 0 to 255",
            "FP32": "[-1,3,-1,-1]: RGB values in [0, 1], not normalised",
            "max_images": _MAX_IMAGES,
        }
        parameters = {"answer": "probabilities", "labels": json.dumps(self.classes)}
        shares = {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(self.classes)]}
        return {
            "inputs": [{"name": "images", "datatype": "BYTES", "shape": [-1], "parameters": forms}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {**shares, "parameters": parameters},
            ],
        }

    def infer(self, tensor: InputTensor) -> list[Output]:
        """Answers images of any size."""
        pictures = [_decoded(image) for image in any_images(tensor, _MAX_IMAGES)]
        answers = self._labeler(pictures)
        rows = np.array([list(reading.probabilities.values()) for reading in answers], np.float32)
        return [Output("label", [reading.label for reading in answers]), Output("probabilities", rows, self.classes)]

    def _routed(self, request: Request) -> Response:
        if request.path.partition("?")[0].rstrip("/") != _PREDICT:
            return super()._routed(request)
        check_method(request, ("POST",))
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise RequestError(415, "the body is the image file itself: curl --data-binary @photo.jpg.")
        (reading,) = self._labeler([_decoded(request.body)])
        shares = dict(reading.probabilities)
        return json_response({"label": reading.label, "probability": reading.probability, "probabilities": shares})


def _decoded(image: Pixels | bytes) -> Image.Image | Pixels:
    return decode(image, admit=check_size) if isinstance(image, bytes) else image


def check_size(num_pixels: int) -> None:
    """Refuses image files that are too large to decode beside others.

    Raises:
        ImageError: The file has more than MAX_PIXELS.
    """
    if num_pixels > MAX_PIXELS:
        raise ImageError(f"{num_pixels} pixels, more than {MAX_PIXELS}; scale it down first.")
