"""AutoVP's prompt: a frame around an image whose size is learned with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad

from ...canvas import Canvas
from ...core import ConfigError, Model, OutputTransform
from ...prompt import Prompt
from ...templates import PixelTemplate, make_template, round_through
from ...tensor_checks import check_images
from ..pixel import PixelPrompt

__all__ = ["AutoVP"]

_SHARE = 128 / 224
"""Of the canvas's sides that the image has at scale 1: 128 pixels on the published canvas."""
_LEAST_SCALE, _GRADIENT = 0.1, 1e-3


class AutoVP(PixelPrompt):
    """The image resized to scale * 128 / 224 of the canvas, in its middle, and a prompt on the pixels around it.

    In training the image is sampled bilinearly at the scale itself, which has a gradient, clipped to 0.001 as in the
    public code; a pixel that the image covers in part has the prompt in part. In evaluation, and in the file, the
    scale is rounded to a frame of whole pixels and the image resized as canvases are. The prompt is clamped where the
    published one is a sigmoid (and unbounded for CLIP), and the frame stays at least a pixel wide.

    Args:
        template: All pixels ("full"), blend "add".
        generator: Draws the first prompt where it is noise; by default one that is seeded with 0.
        space: "pixel".

    Raises:
        ConfigError: The template is another one.

    Reference: arXiv 2310.08381.
    """

    blank_start = False

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        scale: float = 1.0,
        generator: Generator | None = None,
        space: str = "pixel",
    ) -> None:
        height, width = template.geometry.size
        if (template.name, template.blend.name, space) != ("full", "add", "pixel") or height != width:
            raise ConfigError("method 'autovp' needs template 'full', blend 'add', space 'pixel' and a square canvas.")
        super().__init__(template, model, output, generator=generator)
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.recipe = ("autovp", {})
        self.constrain()

    @property
    def frame(self) -> int:
        """Width in pixels of the frame that the image leaves."""
        side = self.template.geometry.size[0]
        free = round(side * (1 - float(self.scale.detach()) * _SHARE) / 2)
        return min(max(1, free), (side - 1) // 2)

    def prompted(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Resizes images (N, 3, H, W) in [0, 1] and lays the prompt around them; see `PixelPrompt.prompted`."""
        check_images(images, self.template.geometry.size)
        inside, covered = self._sampled(images) if self.training else self._resized(images)
        plane = self.template.to_plane(self.theta)
        around = self.template.blend.composite(torch.zeros_like(images[:1]), plane, quantize=quantize)
        values = inside + (1 - covered) * around
        return round_through(values * 255) / 255 if quantize else values

    def _sampled(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The image at the scale itself, and how much of each pixel it covers."""
        share = self.scale * _SHARE
        if share.requires_grad:
            limit = _GRADIENT / _SHARE
            share.register_hook(lambda gradient: gradient.clamp(-limit, limit))  # type: ignore[no-untyped-call]
        turn = torch.eye(2, 3, device=images.device, dtype=images.dtype) / share
        grid = affine_grid(turn.unsqueeze(0), [1, 3, *images.shape[2:]], align_corners=False)
        whole = torch.ones_like(images[:1, :1])
        inside = grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)
        return inside.clamp(0, 1), grid_sample(whole, grid, align_corners=False)

    def _resized(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same in whole pixels."""
        frame, side = self.frame, self.template.geometry.size[0]
        inner = (side - 2 * frame, side - 2 * frame)
        small = interpolate(images, inner, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        around = (frame, frame, frame, frame)
        return pad(small, around), pad(torch.ones_like(small[:1, :1]), around)

    def to_prompt(self, canvas: Canvas | None = None, **origin: Any) -> Prompt:
        """Returns the prompt as it would be saved: a frame around the image shrunk into it; see `PixelPrompt`."""
        size, frame = self.template.geometry.size, self.frame
        canvas, origin = self.saved_with(canvas, origin)
        canvas = replace(canvas, fit="shrink", frame=frame)
        template = make_template("padding", canvas_size=size, size=frame, blend=self.template.blend)
        theta = template.from_plane(self.template.to_plane(self.theta))
        prompt = template.to_prompt(theta, canvas, output=self.output.to_json(), **origin)
        return replace(prompt, template={**prompt.template, "num_params": self.num_params})

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: see `PixelPrompt`, and keeps the scale where it leaves image and frame."""
        super().constrain()
        side = self.template.geometry.size[0]
        self.scale.clamp_(_LEAST_SCALE, (side - 2) / (side * _SHARE))
