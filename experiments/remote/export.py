"""Writes the real MobileNetV2 as ONNX, from images in [0, 1] to logits; the packages onnx and onnxscript are needed.

python experiments/remote/export.py ../shared mobilenet_v2.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from pixprompt.models import load_model

NAME = "torchvision:mobilenet_v2/IMAGENET1K_V1"


class Whole(nn.Module):
    """The network with its own normalisation of images before it."""

    def __init__(self, assets: Path) -> None:
        super().__init__()
        self.model = load_model(NAME, weights=assets / "weights" / "mobilenet_v2.safetensors")
        self.net = self.model.net  # type: ignore[attr-defined]

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (N, 1000) of images (N, 3, 224, 224)."""
        logits: Tensor = self.net(self.model.normalize(images))  # type: ignore[attr-defined]
        return logits


def main() -> None:
    """Exports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assets", type=Path)
    parser.add_argument("onnx", type=Path)
    options = parser.parse_args()
    torch.onnx.export(
        Whole(options.assets).eval(),
        (torch.zeros(2, 3, 224, 224),),
        str(options.onnx),
        input_names=["images"],
        output_names=["scores"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
    )


if __name__ == "__main__":
    main()
