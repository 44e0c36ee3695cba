"""SA²VP on a ConvNet."""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones.convnet import ConvNet
from ...core import ConfigError
from ...models import TorchModel
from .options import SA2VPOptions
from .stages import BlockTokens, Shape, StagedSA2VP, StageLayer, largest_stage

__all__ = ["ConvLayer", "ConvNetSA2VP"]


class ConvNetSA2VP(StagedSA2VP):
    """SA²VP of a ConvNet: a map of prompts as large as the image's behind the stem, or smaller.

    The pathways meet in the stage with most blocks, the third of a ResNet-50, behind each block, before new maps join.
    The paper names ResNets without saying how a net without attention is to attend, so here the feature vectors,
    normed over the channels without learned parameters, are queries and keys, and as they are values; one head, and no
    output projection.

    BatchNorm works with the statistics that the model came with.

    Raises:
        ConfigError: The model is something else, its largest stage has one block only, or its grids cannot be scaled
            so.

    Reference: arXiv 2312.10376, equations 2 to 6 and section 3 (other backbones).
    """

    def __init__(
        self, model: TorchModel, classes: tuple[str, ...], options: SA2VPOptions, *, generator: Generator
    ) -> None:
        view = ConvNet(model)
        stage_index = largest_stage(view)
        super().__init__(
            model,
            classes,
            options,
            view=view,
            stage_index=stage_index,
            layers=[ConvLayer(block) for block in view.stages[stage_index].blocks],
            shapes=_shapes(view, stage_index, options.map_scale),
            generator=generator,
        )

    @staticmethod
    def to_tokens(maps: Tensor) -> Tensor:
        """Maps (n, D, h, w) -> (n, h, w, D)."""
        return maps.permute(0, 2, 3, 1)

    @staticmethod
    def to_maps(tokens: Tensor) -> Tensor:
        """Tokens (n, h, w, D) -> (n, D, h, w)."""
        return tokens.permute(0, 3, 1, 2)


class ConvLayer(StageLayer):
    """A frozen block, behind which the pathways meet.

    Args:
        block: Frozen.
    """

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def start(self, tokens: Tensor) -> BlockTokens:
        """Runs the block, and norms what leaves it."""
        leaving = ConvNetSA2VP.to_tokens(self.block(ConvNetSA2VP.to_maps(tokens)))
        return BlockTokens(leaving, F.layer_norm(leaving, leaving.shape[-1:]))

    def finish(self, inside: BlockTokens) -> Tensor:
        """Returns what the block has made already."""
        return inside.tokens

    def queries(self, inside: BlockTokens) -> Tensor:
        """Returns the normed tokens as one head."""
        return inside.projected.flatten(1, 2).unsqueeze(1)

    def keys_and_values(self, inside: BlockTokens) -> tuple[Tensor, Tensor]:
        """Returns the normed tokens and the tokens, as one head."""
        return self.queries(inside), inside.tokens.flatten(1, 2).unsqueeze(1)

    def join(self, mixed: Tensor) -> Tensor:
        """Returns the one head."""
        return mixed.squeeze(1)


@torch.no_grad()
def _shapes(view: ConvNet, stage_index: int, scale: int) -> tuple[Shape, Shape]:
    """Returns the shapes of the map and of prompts where they meet the image, by running an empty image.

    Raises:
        ConfigError: The image's own cannot be scaled so.
    """
    with view.model.held():
        maps = view.embed(view.first.weight.new_zeros(1, 3, *view.model.spec.image_size))
        grids = [tuple(each.shape[2:]) for each in (maps, _behind(view, stage_index, maps))]
        if any(side % scale for grid in grids for side in grid):
            stem, stage = (f"{down} x {across}" for down, across in grids)
            raise ConfigError(
                f"the image's maps are {stem} behind the stem and {stage} where the pathways meet, which cannot "
                f"both be scaled down by {scale}."
            )
        down, across = (side // scale for side in grids[0])
        inner = _behind(view, stage_index, maps[:, :, :down, :across]).shape
    return (down, across, maps.shape[1]), (inner[2], inner[3], inner[1])


def _behind(view: ConvNet, stage_index: int, maps: Tensor) -> Tensor:
    """Runs the stages below and the first block of the stage of interaction."""
    for stage in view.stages[:stage_index]:
        maps = stage(maps)
    chosen = view.stages[stage_index]
    return cast(Tensor, chosen.blocks[0](chosen.enter(maps)))
