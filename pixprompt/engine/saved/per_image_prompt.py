"""A prompt for each image, as a run saved it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...adapters import ADAPTER_FILE, AdapterFile, ClusterPrompts, Coordinator, CoordinatorSpec
from ...adapters.coordinator import load_encoder
from ...canvas import Canvas
from ...core import Model, OutputTransform, PromptError
from ...models import load_model
from ..answers import Pixels, to_images
from ..config.train_config import run_config
from ..inputs.trust import check_trusted
from ..parts import Parts

__all__ = ["PerImagePrompt", "load_per_image", "save_coordinator"]


def save_coordinator(path: Path, parts: Parts, coordinator: Coordinator, x: Tensor, output: OutputTransform) -> None:
    """Writes the file of a coordinator: the weights, what they belong to, and how answers become labels."""
    values = {
        "model": parts.spec.name,
        "method": parts.config.method.name,
        "spec": coordinator.spec.to_json(),
        "output": output.to_json(),
        **parts.facts(),
    }
    AdapterFile(path, coordinator.to_tensors(x), values).write()


class PerImagePrompt:
    """A prompt that differs from image to image, with what a prompt file says of itself.

    Args:
        prompted: Images (1, 3, H, W) -> prompted images of 8-bit values.
        attach: Takes the model that chooses the prompts, before the first one is laid; None where none does.
    """

    is_empty = False

    def __init__(
        self,
        prompted: Callable[[Tensor], Tensor],
        num_params: int,
        values: dict[str, Any],
        *,
        device: str,
        attach: Callable[[Model], None] | None = None,
    ) -> None:
        self.prompted, self.num_params, self.device, self.attach = prompted, num_params, device, attach
        self.canvas = Canvas.from_json(values["canvas"])
        self.model: str = values["model"]
        self.weights_sha256: str = values["weights_sha256"]
        self.output: dict[str, Any] = values["output"]
        self.seed: int = values["seed"]
        self._lock = Lock()

    @property
    def pages(self) -> tuple[PerImagePrompt, ...]:
        """Itself alone: a committee has several."""
        return (self,)

    def overlay(self, pixels: Pixels) -> Pixels:
        """Prompts canvases (H, W, 3) or (N, H, W, 3), uint8; one image at a time, so that none depends on others."""
        if pixels.ndim == 3:
            with self._lock, torch.no_grad():  # a coordinator remembers the features of its last image
                prompted = self.prompted(to_images(pixels[None], self.device))
            return (prompted[0] * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return np.stack([self.overlay(each) for each in pixels])


def load_per_image(folder: Path, *, device: str, alone: bool = False) -> PerImagePrompt:
    """Reads the prompt of a run with another one for each image.

    Args:
        alone: Whether the model of the run is loaded, too, where that chooses the prompts; else `attach` takes it.

    Raises:
        PromptError: The run holds no such prompt, or a coordinator for another encoder.
    """
    options, file = run_config(folder).options(), AdapterFile.read(folder / ADAPTER_FILE)
    if "template" in file.values:
        adapter = file.pixel_prompt().to(device).eval()
        attach = adapter.set_model if isinstance(adapter, ClusterPrompts) else None
        if attach is not None and alone:
            check_trusted({"model": options["model"]}, folder)
            attach(load_model(options["model"], weights=options["weights"], device=device))
        return PerImagePrompt(adapter.prompted, adapter.num_params, file.values, device=device, attach=attach)
    if "spec" not in file.values:
        raise PromptError(f"{file.path} holds no coordinator; its method is {file.values.get('method')!r}.")
    check_trusted({"encoder": options["encoder"]}, folder)
    encoder, digest = load_encoder(options["encoder"], options["encoder_weights"], device=device)
    coordinator = Coordinator(encoder, CoordinatorSpec.from_json(file.values["spec"]), weights_sha256=digest)
    x = coordinator.from_tensors(file.tensors).to(device)
    return PerImagePrompt(lambda images: coordinator(images, x), coordinator.num_params, file.values, device=device)
