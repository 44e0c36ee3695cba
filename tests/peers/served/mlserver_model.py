"""The linear model for MLServer; takes numbers, or files as base64."""

from __future__ import annotations

import numpy as np
from linear import decode, score
from mlserver import MLModel
from mlserver.codecs import Base64Codec
from mlserver.types import InferenceResponse, ResponseOutput


class Linear(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        tensor = payload.inputs[0]
        if tensor.datatype == "BYTES":
            images = np.stack([decode(content) for content in Base64Codec.decode_input(tensor)])
        else:
            images = np.array(tensor.data.root).reshape(tensor.shape)
        scores = score(images)
        output = ResponseOutput(
            name="scores", shape=list(scores.shape), datatype="FP32", data=scores.astype(float).ravel().tolist()
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
