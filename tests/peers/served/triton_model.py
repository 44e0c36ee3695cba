"""The linear model for Triton's Python backend; its configuration says what it takes, its name what it answers."""

from __future__ import annotations

import json

import numpy as np
import triton_python_backend_utils as triton
from linear import decode, score, shares


class TritonPythonModel:
    def initialize(self, options):
        self.after = shares if options["model_name"] == "shares" else np.asarray
        kind = json.loads(options["model_config"])["input"][0]["data_type"]
        self.read = {"TYPE_STRING": read_files, "TYPE_UINT8": read_bytes}.get(kind, np.asarray)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        values = triton.get_input_tensor_by_name(request, "images").as_numpy()
        try:
            scores = self.after(score(self.read(values)))
        except (ValueError, OSError) as error:
            return triton.InferenceResponse([], triton.TritonError(str(error)))
        return triton.InferenceResponse([triton.Tensor("scores", scores)])


def read_files(values):
    return np.stack([decode(content) for content in values.ravel()])


def read_bytes(values):
    return values.transpose(0, 3, 1, 2) / 255
