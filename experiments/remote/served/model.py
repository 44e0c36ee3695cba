"""An ONNX network for Triton's Python backend: image files in, its outputs out."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton
from PIL import Image


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, case):
        """Reads the network."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(case["model_repository"]) / case["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options)

    def execute(self, requests):
        """Answers."""
        return [self.answer(request) for request in requests]

    def answer(self, request):
        """Answers one request."""
        files = triton.get_input_tensor_by_name(request, "images").as_numpy().ravel()
        try:
            images = np.stack([decode(content) for content in files])
            (result,) = self.session.run(None, {"images": images})
        except Exception as error:
            return triton.InferenceResponse([], triton.TritonError(str(error)))
        return triton.InferenceResponse([triton.Tensor("scores", result)])


def decode(content):
    """Reads an image file as (3, H, W) in [0, 1]."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float32)
    return pixels.transpose(2, 0, 1) / np.float32(255)
