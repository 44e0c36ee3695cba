"""BlackVIP's coordinator in a run: its encoder, and the file that holds it."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from ...adapters import Coordinator, CoordinatorSpec
from ...canvas import Canvas
from ...core import Model, OutputTransform, PromptError
from ...files import file_sha256, write_bytes
from ...models import load_model
from ...version import __version__
from ..answers import Pixels, to_images
from ..config.train_config import TrainConfig, run_config
from ..fit.checkpoint import load_state
from ..parts import Parts

__all__ = ["ADAPTER_FILE", "PerImagePrompt", "coordinator_of", "load_per_image", "save_coordinator"]

ADAPTER_FILE = "adapter.safetensors"


def coordinator_of(parts: Parts) -> Coordinator:
    """Builds a new coordinator for the images of a run."""
    encoder, digest = _encoder(parts.config, parts.device)
    return Coordinator.beside(encoder, parts.spec.image_size, weights_sha256=digest)


def _encoder(config: TrainConfig, device: str) -> tuple[Model, str]:
    """Loads the encoder, with the digest of its weights file; empty where there is none."""
    own = config.options()
    weights = Path(own["encoder_weights"]) if own["encoder_weights"] else None
    return load_model(own["encoder"] or "", weights=weights, device=device), file_sha256(weights) if weights else ""


def save_coordinator(path: Path, parts: Parts, coordinator: Coordinator, x: Tensor, output: OutputTransform) -> None:
    """Writes the file of a coordinator: the weights, what they belong to, and how answers become labels."""
    values = {
        "schema": 1,
        "version": __version__,
        "method": "blackvip",
        "spec": coordinator.spec.to_json(),
        "canvas": parts.plain.to_json(),
        "model": parts.spec.name,
        "weights_sha256": parts.weights_sha256,
        "seed": parts.config.seed,
        "output": output.to_json(),
    }
    tensors = {name: tensor.contiguous().cpu() for name, tensor in coordinator.to_tensors(x).items()}
    write_bytes(path, save(tensors, metadata={"values": json.dumps(values)}))


class PerImagePrompt:
    """A prompt that differs from image to image, with what a prompt file says of itself.

    Args:
        coordinator: Makes the prompts.
        x: Of the coordinator, (D,).
        values: What `save_coordinator` wrote beside it.
    """

    is_empty = False

    def __init__(self, coordinator: Coordinator, x: Tensor, values: dict[str, Any], *, device: str) -> None:
        self.coordinator, self.x, self.device = coordinator, x.to(device), device
        self.canvas = Canvas.from_json(values["canvas"])
        self.model: str = values["model"]
        self.weights_sha256: str = values["weights_sha256"]
        self.output: dict[str, Any] = values["output"]
        self.seed: int = values["seed"]
        self.num_params = coordinator.num_params
        self._lock = Lock()

    @property
    def pages(self) -> tuple[PerImagePrompt, ...]:
        """Itself alone: a committee has several."""
        return (self,)

    def overlay(self, pixels: Pixels) -> Pixels:
        """Prompts canvases (H, W, 3) or (N, H, W, 3), uint8; one image at a time, so that none depends on others."""
        if pixels.ndim == 3:
            with self._lock:  # the coordinator remembers the features of its last image
                prompted = self.coordinator(to_images(pixels[None], self.device), self.x)
            return (prompted[0] * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return np.stack([self.overlay(each) for each in pixels])


def load_per_image(folder: Path, *, device: str) -> PerImagePrompt:
    """Reads what `save_coordinator` wrote.

    Raises:
        PromptError: The run holds no coordinator, or one for another encoder.
    """
    config, found = run_config(folder), load_state(folder / ADAPTER_FILE)
    if found is None:
        raise PromptError(f"{folder} holds no {ADAPTER_FILE}; its method is {config.method.name!r}.")
    tensors, values = found
    encoder, digest = _encoder(config, device)
    coordinator = Coordinator(encoder, CoordinatorSpec.from_json(values["spec"]), weights_sha256=digest)
    return PerImagePrompt(coordinator, coordinator.from_tensors(tensors), values, device=device)
