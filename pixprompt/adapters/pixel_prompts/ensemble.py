"""Several pixel prompts that one output transform reads together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...canvas import Canvas
from ...core import ConfigError, Model, OutputTransform, PromptError
from ...prompt import Committee, Prompt
from ...templates import PixelTemplate
from ...tensor_checks import check_images
from ..pixel import PixelPrompt

__all__ = ["PromptEnsemble"]


class PromptEnsemble(PixelPrompt):
    """V prompts of one template; the model answers each image under each, and its answers are concatenated.

    With output "reweighted" this is DVP: each prompt is read by texts of its own, and so learns something else. It is
    saved as a committee, one PNG with V pages.

    Args:
        output: Reads V answers about each image.
        prompts: V.
        generator: Draws the first prompts where they are noise; by default one that is seeded with 0.
        space: "pixel".

    Raises:
        ConfigError: V is below 1, or the space another one.

    Reference: DVP, arXiv 2506.01000.
    """

    blank_start = False

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        prompts: int = 3,
        generator: Generator | None = None,
        space: str = "pixel",
    ) -> None:
        if prompts < 1 or space != "pixel":
            raise ConfigError(f"method 'dvp' needs at least one prompt and space 'pixel', got {prompts} and {space!r}.")
        self.views = self.queries_per_image = prompts
        super().__init__(template, model, output, generator=generator)
        self.recipe = ("dvp", {"prompts": prompts})

    def begin(self, theta: Tensor) -> None:
        """Makes what is learned, `thetas` (V, P)."""
        self.thetas = nn.Parameter(theta.repeat(self.views, 1))

    @property
    def theta(self) -> Tensor:  # type: ignore[override]
        """The first prompt, (P,)."""
        return self.thetas[0]

    def outputs(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Returns the model's answers under each prompt, (N, V * S) float32."""
        check_images(images, self.template.geometry.size)
        pages = [self.template(images, each, generator=generator, quantize=quantize) for each in self.thetas]
        return torch.cat([self.model(page).float() for page in pages], dim=1)

    def to_prompt(self, canvas: Canvas | None = None, **origin: Any) -> Prompt:
        """Raises PromptError: there are several; see `to_committee`."""
        raise PromptError(f"there are {self.views} prompts, which are saved together: to_committee().")

    def to_committee(self, canvas: Canvas | None = None, **origin: Any) -> Committee:
        """Returns the prompts as they would be saved; see `PixelPrompt.to_prompt`."""
        canvas, origin = self.saved_with(canvas, origin)
        pages = tuple(self.template.to_prompt(each, canvas, **origin) for each in self.thetas)
        return Committee(pages, output=self.output.to_json(), **origin)

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: see `PixelPrompt`."""
        for each in self.thetas:
            each.copy_(self.template.project(each))
