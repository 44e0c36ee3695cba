"""`adapter.safetensors` of methods that reach into the model: what was learned, and which backbone it belongs to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ...adapters import WhiteBox
from ...adapters.saving import backbone_sha256
from ...canvas import Canvas
from ...core import Access, AnswerKind, Model, ModelSpec, PixpromptError, PromptError
from ...files import write_bytes
from ...version import __version__
from ..answers import Pixels
from ..config.methods import make_adapter
from ..config.train_config import TrainConfig
from ..fit.checkpoint import load_state
from ..parts import Parts

__all__ = ["NoPrompt", "Tuned", "load_tuned", "save_tuned"]

_SCHEMA = 1


def save_tuned(path: Path, parts: Parts, adapter: WhiteBox, state: dict[str, Tensor]) -> None:
    """Writes the learned tensors, with what is needed to build the adapter again."""
    values = {
        "schema": _SCHEMA,
        "version": __version__,
        "method": parts.config.method.name,
        "config": parts.config.to_json(),
        "classes": list(parts.data.classes),
        "canvas": parts.plain.to_json(),
        "model": parts.spec.name,
        "weights_sha256": parts.weights_sha256,
        "backbone_sha256": backbone_sha256(adapter),
        "seed": parts.config.seed,
    }
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in state.items()}
    write_bytes(path, save(tensors, metadata={"values": json.dumps(values)}))


class Tuned:
    """A model with a learned adapter, as a model: images (N, 3, H, W) in [0, 1] -> target logits (N, K).

    Args:
        adapter: In evaluation mode.
    """

    access = Access.SCORES

    def __init__(self, adapter: WhiteBox) -> None:
        self.adapter = adapter.eval()
        classes = adapter.output.classes
        self.spec: ModelSpec = replace(
            adapter.model.spec, num_outputs=len(classes), answer=AnswerKind.LOGITS, labels=classes
        )

    @torch.no_grad()
    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images."""
        return self.adapter(images).float()  # type: ignore[no-any-return]


class NoPrompt:
    """The `SavedPrompt` of a white-box adapter: nothing on the image, and what the adapter's file says of itself.

    Args:
        values: What `save_tuned` wrote beside the tensors.
        num_params: Learned parameters.
    """

    is_empty = True

    def __init__(self, values: dict[str, Any], num_params: int) -> None:
        self.canvas = Canvas.from_json(values["canvas"])
        self.model: str = values["model"]
        self.weights_sha256: str = values["weights_sha256"]
        self.seed: int = values["seed"]
        self.output: dict[str, Any] = {"kind": "head", "classes": values["classes"]}
        self.num_params = num_params

    @property
    def pages(self) -> tuple[NoPrompt, ...]:
        """Itself alone: a committee has several."""
        return (self,)

    def overlay(self, pixels: Pixels) -> Pixels:
        """Returns canvases as they are."""
        return pixels


def load_tuned(path: Path, model: Model) -> tuple[NoPrompt, Tuned]:
    """Reads what `save_tuned` wrote, onto a backbone.

    Args:
        path: `adapter.safetensors`.
        model: The backbone that it was learned for.

    Raises:
        AccessError: The model cannot be opened.
        PromptError: The file is damaged or of another schema, or the backbone is another one.
    """
    try:
        found = load_state(path)
    except PixpromptError as error:
        raise PromptError(f"{path} is damaged; copy it from where it was learned, or learn it again.") from error
    if found is None:
        raise PromptError(f"{path} is missing.")
    tensors, values = found
    if values.get("schema") != _SCHEMA:
        raise PromptError(f"{path} has schema {values.get('schema')}; this version reads schema {_SCHEMA}.")
    config = TrainConfig.from_json(values["config"], source=path)
    adapter = make_adapter(config, model, tuple(values["classes"]), generator=torch.Generator().manual_seed(0))
    digest = backbone_sha256(adapter)
    if digest != values["backbone_sha256"]:
        raise PromptError(
            f"{path} was learned inside {values['model']} with backbone {values['backbone_sha256'][:12]}..., but "
            f"{model.spec.name} has backbone {digest[:12]}...: what was learned means nothing there. Give the model "
            "and the weights that it was learned for."
        )
    try:
        adapter.load_state_dict(tensors)
    except RuntimeError as error:
        raise PromptError(f"{path} does not fit its own settings ({error}).") from error
    place = next(iter(model.parameters())).device if isinstance(model, nn.Module) else torch.device("cpu")
    return NoPrompt(values, adapter.num_tuned), Tuned(adapter.to(place))
