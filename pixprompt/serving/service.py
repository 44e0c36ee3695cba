"""A local model behind the Open Inference Protocol v2."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..core import AnswerKind, ConfigError, Model
from ..ledger import open_vocabulary
from ..tensor_checks import check_images
from .outputs import Output
from .tensors import InputTensor, decode_images
from .v2_service import V2Service, served_name

__all__ = ["Service"]

_BATCH = 64
"""Images per call of the model."""


class Service(V2Service):
    """Answers requests about one model; knows no socket.

    Embeddings of a dual encoder are served as they are, and `metadata` says so: a caller needs the text side itself.

    Args:
        model: Any model with a fixed number of outputs.
        name: Name of the model in paths; see `served_name`.
        answer: LOGITS or PROBABILITIES; None for what the model answers.
        max_bytes: The longest request; the images that it holds may not be larger when decoded.
        delay: Seconds to wait before each answer, to imitate a distant endpoint.

    Raises:
        ConfigError: The model's answers cannot be served, or not in that form.
    """

    output_names = ("outputs",)

    def __init__(
        self,
        model: Model,
        *,
        name: str | None = None,
        answer: AnswerKind | None = None,
        device: str = "cpu",
        max_bytes: int = 64_000_000,
        version: str = "",
        delay: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(served_name(model.spec.name) if name is None else name, max_bytes=max_bytes, version=version)
        self.model, self.device = model, device
        self.answer = _served_answer(model, answer)
        self.has_classes = self.answer is not AnswerKind.EMBEDDINGS
        self._delay, self._sleep = delay, sleep

    def tensors(self) -> dict[str, Any]:
        """Describes the one input, in the form that is preferred, and the one output.

        The parameters `FP32` and `BYTES` of the input name the other forms that the same tensor may have.
        """
        spec = self.model.spec
        height, width = spec.image_size
        input_parameters = {
            "UINT8": f"[-1,{height},{width},3]: RGB pixels, 0 to 255",
            "FP32": f"[-1,3,{height},{width}]: RGB values in [0, 1], not normalised",
            "BYTES": f"[-1]: PNG or JPEG files of {height}x{width} pixels (height x width), in JSON as base64",
            "max_images": self._max_images,
        }
        output_parameters: dict[str, Any] = {"answer": str(self.answer)}
        if spec.labels is not None:
            output_parameters["labels"] = json.dumps(spec.labels)  # parameters are texts, numbers and booleans only
        images = {"name": "images", "datatype": "UINT8", "shape": [-1, height, width, 3]}
        outputs = {"name": "outputs", "datatype": "FP32", "shape": [-1, spec.num_outputs]}
        return {
            "inputs": [{**images, "parameters": input_parameters}],
            "outputs": [{**outputs, "parameters": output_parameters}],
        }

    def infer(self, tensor: InputTensor) -> list[Output]:
        """Answers images of the model's size."""
        images = decode_images(tensor, self.model.spec.image_size, self._max_images)
        return [Output("outputs", self._rows(torch.from_numpy(images)), self.model.spec.labels)]

    @property
    def _max_images(self) -> int:
        return max(1, self.max_bytes // (3 * math.prod(self.model.spec.image_size)))

    def _rows(self, images: Tensor) -> npt.NDArray[np.float32]:
        if images.is_floating_point():
            check_images(images, self.model.spec.image_size)
        if self._delay:
            self._sleep(self._delay)
        with torch.no_grad():
            rows = torch.cat([self.model(self._ready(part)).float().cpu() for part in torch.split(images, _BATCH)])
            if self.answer is AnswerKind.PROBABILITIES and self.model.spec.answer is AnswerKind.LOGITS:
                rows = rows.softmax(1)
        return np.asarray(rows.numpy())

    def _ready(self, part: Tensor) -> Tensor:
        part = part.to(self.device)
        return part if part.is_floating_point() else part.float() / 255


def _served_answer(model: Model, answer: AnswerKind | None) -> AnswerKind:
    spec = model.spec
    vocabulary = open_vocabulary(model)
    if vocabulary and vocabulary.open:
        raise ConfigError(
            f"model {spec.name!r} finds its labels as it answers, so its outputs have no fixed number; "
            "give the callable an attribute `labels`."
        )
    possible = {spec.answer} | ({AnswerKind.PROBABILITIES} if spec.answer is AnswerKind.LOGITS else set())
    if answer is not None and answer not in possible:
        raise ConfigError(f"model {spec.name!r} answers with {spec.answer}, which cannot be turned into {answer}.")
    return answer or spec.answer
