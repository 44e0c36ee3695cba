"""A white-box adapter as a run saved it: a model that answers with target logits, and an empty prompt."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...adapters import AdapterFile, WhiteBox
from ...canvas import Canvas
from ...core import Access, AnswerKind, ModelSpec, PromptError
from ...outputs import Direct
from ...prompt import Prompt
from .prompt_png import empty_prompt

__all__ = ["AdaptedModel", "prompt_of"]


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


def prompt_of(file: AdapterFile, num_params: int) -> Prompt:
    """Returns the prompt beside a white-box adapter: nothing on the image, and what the adapter's file says of itself.

    Args:
        file: Of a run.

    Raises:
        PromptError: The file was saved outside a run, so that it does not say how images become canvases.
    """
    values = file.values
    if "canvas" not in values:
        raise PromptError(f"{file.path} was saved outside a run; load it with pixprompt.load_adapter.")
    return empty_prompt(
        Canvas.from_json(values["canvas"]),
        Direct(tuple(values["classes"])),
        num_params=num_params,
        **{name: values[name] for name in ("model", "weights_sha256", "seed", "version")},
    )
