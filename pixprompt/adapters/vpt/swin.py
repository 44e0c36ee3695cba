"""VPT on Swin: learned tokens that join the tokens of every window."""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor, nn

from ...backbones.swin import Swin
from ...core import ConfigError, RangeError
from ...models import TorchModel
from ..heads import ClassifierHead, drop_per_image, kaiming
from ..whitebox import Parts, WhiteBox
from .prompts import prompt_bound, uniform
from .swin_block import LAYOUTS, prompted_block

__all__ = ["SWIN_POOLS", "SwinVPT"]

SWIN_POOLS = ("image", "image-and-prompt", "prompt")


class SwinVPT(WhiteBox):
    """Prompts in front of the tokens of each window, the same for all windows of an image.

    A set of prompts replaces the previous one in front of its block. Behind the last set the prompts go on as the
    blocks change them, each image with its own; patch merging repeats a prompt four times along the channels.

    The head reads the mean of the image tokens, as the backbone's own does. The public code takes the prompts into
    the mean, but the paper (section 4.3, final output) finds that prompts in the pool cost up to 8 points and keeps
    the backbone's own output. Where nothing reads what becomes of the prompts, as in the deep variant up to its last
    block, it is not computed.

    Args:
        tokens: P, prompts per set; 0 leaves the head alone.
        deep: A set for each block, of its stage's width; if not, one set in front of the first block.
        depth: With `deep`, how many blocks from the bottom have a set; None for all.
        dropout: Share of prompt values dropped in training, anew at each insertion.
        projection: Width of the prompts before a learned linear layer, one per stage; None for the stage's own width.
        pool: Which final tokens the head reads, of SWIN_POOLS.
        layout: Of `prompted_block`; "legacy" reproduces a defect of the public code.

    Raises:
        ConfigError: The model is no Swin, or an option does not fit it.
        RangeError: Dropout lies outside [0, 1).

    Reference: arXiv 2203.12119, sections 3.2 and 4.2.
    """

    view: Swin

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        *,
        tokens: int,
        deep: bool = True,
        depth: int | None = None,
        dropout: float = 0.0,
        projection: int | None = None,
        pool: str = "image",
        layout: str = "image",
        generator: Generator,
    ) -> None:
        super().__init__(model, classes)
        self.view = Swin(model)
        self.num_sets = _num_sets(self.view, deep, depth)
        _check(self.view, tokens, projection, pool, layout)
        if not 0 <= dropout < 1:
            raise RangeError(f"dropout must lie in [0, 1), got {dropout}.")
        self.dropout, self.pool, self.layout = dropout, pool, layout
        # One bound for all stages, by the patch and the width of the first, as in the public code.
        bound = prompt_bound(self.view.patch, projection or self.view.stages[0].width)
        self.prompts = nn.ParameterList()
        self.projections = nn.ModuleList()
        remaining = self.num_sets
        for stage in self.view.stages:
            count = min(remaining, len(stage.blocks))
            remaining -= count
            if count:
                self.prompts.append(uniform(count, tokens, projection or stage.width, bound=bound, generator=generator))
            if count and projection is not None:
                self.projections.append(kaiming(projection, stage.width, generator=generator))
        self.head = ClassifierHead(self.view.width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the patch embeddings, (N, H / patch, W / patch, D)."""
        return (self.view.embed(images),)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs all blocks with prompts, and the head -> logits (N, K)."""
        with self.model.held():
            features = self._features(parts[0], generator)
        return cast(Tensor, self.head(features, generator=generator))

    def _features(self, images: Tensor, generator: Generator | None) -> Tensor:
        prompts, index, last = images.new_empty(0), 0, self.view.depth - 1
        for number, stage in enumerate(self.view.stages):
            if stage.merge is not None:
                images = stage.merge(images)
                prompts = stage.merge.single(prompts) if index >= self.num_sets else prompts
            for place, block in enumerate(stage.blocks):
                if index < self.num_sets:
                    prompts = self._inserted(number, place, len(images), generator)
                reads = index + 1 >= self.num_sets and (index < last or self.pool != "image")
                images, prompts = prompted_block(block, images, prompts, reads_prompts=reads, layout=self.layout)
                index += 1
        chosen = {"image": [images.flatten(1, 2)], "prompt": [prompts]}
        final = torch.cat(chosen.get(self.pool, [images.flatten(1, 2), prompts]), 1)
        return cast(Tensor, self.view.norm(final)).mean(1)

    def _inserted(self, stage: int, place: int, num_images: int, generator: Generator | None) -> Tensor:
        """The set of a block, (N, P, D) where dropout makes it differ between images, (1, P, D) otherwise."""
        prompts = self.prompts[stage][place]
        if len(self.projections):
            prompts = self.projections[stage](prompts)
        rate = self.dropout if self.training else 0.0
        return drop_per_image(prompts, num_images, rate, generator=generator)


def _num_sets(view: Swin, deep: bool, depth: int | None) -> int:
    if not deep:
        if depth not in (None, 1):
            raise ConfigError(
                f"shallow prompts stand in front of the first block only, got depth {depth}; leave it out."
            )
        return 1
    if depth is not None and not 1 <= depth <= view.depth:
        raise ConfigError(
            f"{view.model.spec.name} has {view.depth} blocks; depth must lie in 1..{view.depth}, got {depth}."
        )
    return depth or view.depth


def _check(view: Swin, tokens: int, projection: int | None, pool: str, layout: str) -> None:
    if not 0 <= tokens <= view.num_patches:
        raise ConfigError(
            f"{view.model.spec.name} has {view.num_patches} patches; tokens must lie in 0..{view.num_patches}, got "
            f"{tokens}."
        )
    if projection is not None and projection < 1:
        raise ConfigError(f"projection must be 1 or more wide, got {projection}.")
    if pool not in SWIN_POOLS:
        raise ConfigError(f"pool of a Swin must be one of {', '.join(SWIN_POOLS)}, got {pool!r}; it has no CLS token.")
    if pool == "prompt" and tokens == 0:
        raise ConfigError("pool 'prompt' needs prompts; set tokens to 1 or more.")
    if layout not in LAYOUTS:
        raise ConfigError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}.")
