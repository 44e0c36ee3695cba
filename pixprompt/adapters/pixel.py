"""The pixel prompt as an adapter: template, model, output transform."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ..core import Access, ConfigError, Model, OutputTransform
from ..models import DirectQuerier, TorchModel
from ..templates import PixelTemplate

__all__ = ["SPACES", "PixelPrompt"]

SPACES = ("pixel", "unclamped")


class PixelPrompt(nn.Module):
    """One prompt for every image, laid on the canvas before the model sees it.

    `parameters()` and `state_dict()` hold theta and nothing of the model.

    Args:
        template: Where the prompt is and how it meets the canvas.
        model: Answers the prompted images; never changed.
        output: Turns the answers into target logits; `output` may be replaced between steps.
        generator: Draws the first theta.
        space: "pixel" keeps every prompted image a possible 8-bit image file. "unclamped" is the VP paper's own
            form, added after normalisation and never clamped, for comparison; it needs the model's inside.

    Reference: arXiv 2203.17274.
    """

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        generator: Generator,
        space: str = "pixel",
    ) -> None:
        super().__init__()
        if space not in SPACES:
            raise ConfigError(f"space must be one of {', '.join(SPACES)}, got {space!r}.")
        local = isinstance(model, TorchModel | DirectQuerier)
        if space == "unclamped" and (template.blend.name != "add" or not local):
            raise ConfigError("space 'unclamped' needs blend 'add' and a local torch model; use space 'pixel'.")
        self.template, self.space, self.output = template, space, output
        # In a tuple, so that the model is no submodule: it belongs to the caller, not to this adapter's state.
        self._model = (model,)
        self.theta = nn.Parameter(template.init(generator=generator))

    @property
    def requires(self) -> Access:
        """SCORES in pixel space, INTERNALS in normalised space."""
        return Access.SCORES if self.space == "pixel" else Access.INTERNALS

    @property
    def model(self) -> Model:
        """The frozen model."""
        return self._model[0]

    def prompted(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Lays the prompt on images (N, 3, H, W) in [0, 1]; see `PixelTemplate.__call__`."""
        return self.template(images, self.theta, generator=generator, quantize=quantize)

    def outputs(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Returns the model's answers to prompted images, (N, S) float32."""
        model = self.model
        if self.space == "unclamped" and isinstance(model, TorchModel | DirectQuerier):
            return model.unclamped(self.template.unclamped(images, self.theta, generator=generator)).float()
        return model(self.prompted(images, generator=generator, quantize=quantize)).float()

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> target logits (N, K)."""
        return self.output(self.outputs(images))

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: brings theta back to what a PNG can hold (nothing to do in normalised space)."""
        if self.space == "pixel":
            self.theta.copy_(self.template.project(self.theta))
