"""LoR-VP's prompt: a product of two narrow matrices per channel, added to the whole image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ...core import ConfigError, Model, OutputTransform
from ...seeds import seeded
from ...templates import PixelTemplate
from ..pixel import PixelPrompt

__all__ = ["LowRankPrompt"]

_SIZE = 0.01
"""Standard deviation of the first A, as in the public code."""


class LowRankPrompt(PixelPrompt):
    """clamp(x + B A, 0, 1), with B (3, H, rank) from zero and A (3, rank, W) from N(0, 0.01^2).

    Every row and every column of pixels has `rank` numbers per channel of its own, 3 rank (H + W) in all: 5,376 at
    rank 4 on 224x224, where a frame of 30 pixels has 69,840.

    Args:
        template: The pixels that the product is added to, the published ones are all of them ("full"); blend "add".
        rank: Of the product.
        generator: Draws the first A; by default one that is seeded with 0.

    Raises:
        ConfigError: The blend is not "add", it starts with noise, or the rank is larger than a side of the canvas.

    Reference: arXiv 2502.00896.
    """

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        rank: int = 4,
        generator: Generator | None = None,
        space: str = "pixel",
    ) -> None:
        if not template.blend.starts_blank:
            raise ConfigError("method 'lor-vp' starts from nothing and is added: it needs blend 'add', start 'flat'.")
        if not 1 <= rank <= min(template.geometry.size):
            raise ConfigError(f"--rank must lie in 1..{min(template.geometry.size)} on this canvas, got {rank}.")
        self.rank = rank
        super().__init__(template, model, output, generator=generator, space=space)
        self.recipe = ("lor-vp", {"rank": rank})
        with torch.no_grad():
            self.columns.normal_(0, _SIZE, generator=seeded(generator))

    def begin(self, theta: Tensor) -> None:
        """Makes the factors B, `rows`, and A, `columns`."""
        height, width = self.template.geometry.size
        self.rows = nn.Parameter(torch.zeros(3, height, self.rank))
        self.columns = nn.Parameter(torch.zeros(3, self.rank, width))

    @property
    def theta(self) -> Tensor:  # type: ignore[override]
        """The product where the template is, (P,)."""
        return self.template.from_plane(self.rows @ self.columns)

    def constrain(self) -> None:
        """See `PixelPrompt`: the factors may have any value, and their product is clamped where it is added."""
