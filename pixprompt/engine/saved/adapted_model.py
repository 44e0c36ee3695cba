"""A white-box adapter as a run saved it: a model that answers with target logits, and nothing on the image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...adapters import AdapterFile, WhiteBox
from ...canvas import Canvas
from ...core import Access, AnswerKind, ModelSpec, PromptError
from ..answers import Pixels

__all__ = ["AdaptedModel", "NoPrompt"]


class AdaptedModel:
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
        file: Of a run.
        num_params: Learned parameters.

    Raises:
        PromptError: The file was saved outside a run, so that it does not say how images become canvases.
    """

    is_empty = True

    def __init__(self, file: AdapterFile, num_params: int) -> None:
        values = file.values
        if "canvas" not in values:
            raise PromptError(f"{file.path} was saved outside a run; load it with pixprompt.load_adapter.")
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
