"""The pixel prompt as an adapter: template, model, output transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from ..canvas import Canvas
from ..core import ConfigError, Model, OutputTransform, ShapeError
from ..prompt import Prompt
from ..templates import PixelTemplate
from ..tensor_checks import check_images
from ..version import __version__
from .beside import BesideModel

__all__ = ["SPACES", "PixelPrompt"]

SPACES = ("pixel", "unclamped")


class PixelPrompt(BesideModel):
    """One prompt for every image, laid on the canvas before the model sees it.

    `parameters()` and `state_dict()` hold theta and nothing of the model.

    Args:
        template: Where the prompt is and how it meets the canvas.
        model: Answers the prompted images; never changed.
        output: Turns the answers into target logits; `output` may be replaced between steps.
        generator: Draws the first theta; by default one that is seeded with 0.
        start: The first theta instead, (P,), or a saved prompt of the same template and blend.
        space: "pixel" keeps every prompted image a possible 8-bit image file. "unclamped" is the VP paper's own
            form, added after normalisation and never clamped, for comparison; it needs a torch model.

    Reference: arXiv 2203.17274.
    """

    views = 1
    """Answers about each image."""
    queries_per_image = 1
    """Queries that an answer takes."""
    blank_start = True
    """Whether the first prompt, if the template's changes no image, gives the baseline outputs."""

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        generator: Generator | None = None,
        start: Tensor | Prompt | None = None,
        space: str = "pixel",
    ) -> None:
        super().__init__(model)
        if space not in SPACES:
            raise ConfigError(f"space must be one of {', '.join(SPACES)}, got {space!r}.")
        if space == "unclamped" and (template.blend.name != "add" or getattr(model, "unclamped", None) is None):
            raise ConfigError("space 'unclamped' needs blend 'add' and a local torch model; use space 'pixel'.")
        self.template, self.space, self.output = template, space, output
        self.recipe: tuple[str, dict[str, Any]] = ("pixel", {})
        """Method and options that make one like it again."""
        self.begin(_first(template, start, generator))

    def begin(self, theta: Tensor) -> None:
        """Makes what is learned: theta itself, (P,), from its first value."""
        self.theta = nn.Parameter(theta)

    @property
    def model(self) -> Model:
        """The frozen model."""
        model: Model = self._model[0]
        return model

    @property
    def num_params(self) -> int:
        """Learned parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def prompted(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Lays the prompt on images (N, 3, H, W) in [0, 1]; see `PixelTemplate.__call__`.

        Raises:
            RangeError: Values lie outside [0, 1].
            ShapeError: The images have another size than the template.
        """
        check_images(images, self.template.geometry.size)
        return self.template(images, self.theta, generator=generator, quantize=quantize)

    def outputs(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Returns the model's answers to prompted images, (N, S) float32."""
        if self.space == "unclamped":
            check_images(images, self.template.geometry.size)
            outputs: Tensor = self._model[0].unclamped(self.template.unclamped(images, self.theta, generator=generator))
            return outputs.float()
        return self.model(self.prompted(images, generator=generator, quantize=quantize)).float()

    def forward(self, images: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> target logits (N, K).

        Args:
            images: See `prompted`.
            generator: Draws the place of a random patch; without one it lies where the PNG has it.
        """
        return self.output(self.outputs(images, generator=generator))

    def to_prompt(self, canvas: Canvas | None = None, **origin: Any) -> Prompt:
        """Returns the prompt as it would be saved: theta in 8-bit values, and the output transform.

        Args:
            canvas: How images become canvases; by default the model's own evaluation setting.
            origin: model, weights_sha256, seed, metrics and version of `Prompt`.
        """
        canvas, origin = self.saved_with(canvas, origin)
        prompt = self.template.to_prompt(self.theta, canvas, output=self.output.to_json(), **origin)
        return replace(prompt, template={**prompt.template, "num_params": self.num_params})

    def saved_with(self, canvas: Canvas | None, origin: Mapping[str, Any]) -> tuple[Canvas, dict[str, Any]]:
        """Returns the arguments of `to_prompt`, with the model's own where they are missing."""
        spec = self.model.spec
        return canvas or Canvas.for_model(spec), {"model": spec.name, "version": __version__, **origin}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self.output = self.output.to(str(self.theta.device))
        return self

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: brings theta back to what a PNG can hold; an unclamped one may have any value."""
        if self.space == "pixel":
            self.theta.copy_(self.template.project(self.theta))


def _first(template: PixelTemplate, start: Tensor | Prompt | None, generator: Generator | None) -> Tensor:
    if start is None:
        return template.init(generator=generator)
    theta = template.from_prompt(start) if isinstance(start, Prompt) else start.detach().clone()
    if theta.shape != (template.num_params,):
        raise ShapeError(f"expected theta ({template.num_params},), got {tuple(theta.shape)}.")
    return theta
