"""SA²VP on a Swin transformer."""

from __future__ import annotations

from torch import Generator, Tensor

from ...backbones.swin import Swin, SwinBlock, SwinStage
from ...core import ConfigError
from ...models import TorchModel
from .options import SA2VPOptions
from .stages import BlockTokens, Shape, StagedSA2VP, StageLayer, largest_stage

__all__ = ["SwinLayer", "SwinSA2VP"]


class SwinSA2VP(StagedSA2VP):
    """SA²VP of a Swin: a map of prompts as large as the image's in the first stage, without position embedding.

    The pathways meet in the stage with most blocks, the third of Swin-B, at the entry of each block. With the block's
    own norm, queries, keys, values and output projection a token sees the tokens of the other pathway round its own
    place on the stage's whole grid: not inside the block's shifted windows, and without its relative bias, which
    belong to the block's own attention.

    Args:
        options: See `SA2VPOptions`; `map_scale` must be 1.

    Raises:
        ConfigError: The model is no Swin, its largest stage has one block only, or the map is scaled.

    Reference: arXiv 2312.10376, equations 2 to 6 and section 4.3 (quantitative evaluation with Swin Transformer).
    """

    def __init__(
        self, model: TorchModel, classes: tuple[str, ...], options: SA2VPOptions, *, generator: Generator
    ) -> None:
        view = Swin(model)
        if options.map_scale != 1:
            raise ConfigError(
                f"{model.spec.name} is a Swin, whose windows are made for one size of maps; map_scale must be 1, got "
                f"{options.map_scale}."
            )
        stage_index = largest_stage(view)
        chosen = view.stages[stage_index]
        super().__init__(
            model,
            classes,
            options,
            view=view,
            stage_index=stage_index,
            layers=[SwinLayer(block) for block in chosen.blocks],
            shapes=(_shape(view.stages[0]), _shape(chosen)),
            generator=generator,
        )


class SwinLayer(StageLayer):
    """A frozen block, whose projections serve its own windows and the other pathway.

    Args:
        block: Frozen.
    """

    def __init__(self, block: SwinBlock) -> None:
        self.block = block

    def start(self, tokens: Tensor) -> BlockTokens:
        """Norms tokens and projects them, in windows: (n, num_windows, A, 3 D)."""
        return BlockTokens(tokens, self.block.qkv(self.block.split(self.block.norm1(tokens))))

    def finish(self, inside: BlockTokens) -> Tensor:
        """Runs the attention inside the windows and the MLP."""
        tokens = inside.tokens + self.block.join(self.block.mix(inside.projected))
        leaving: Tensor = tokens + self.block.mlp(self.block.norm2(tokens))
        return leaving

    def queries(self, inside: BlockTokens) -> Tensor:
        """Returns the queries, out of their windows."""
        return self._heads(inside, 0)

    def keys_and_values(self, inside: BlockTokens) -> tuple[Tensor, Tensor]:
        """Returns keys and values, out of their windows."""
        return self._heads(inside, 1), self._heads(inside, 2)

    def join(self, mixed: Tensor) -> Tensor:
        """Runs the block's output projection."""
        joined: Tensor = self.block.out(mixed.transpose(1, 2).flatten(2))
        return joined

    def _heads(self, inside: BlockTokens, which: int) -> Tensor:
        tokens = self.block.join(inside.projected.chunk(3, -1)[which]).flatten(1, 2)
        return tokens.view(*tokens.shape[:2], self.block.heads, -1).transpose(1, 2)


def _shape(stage: SwinStage) -> Shape:
    return (*stage.blocks[0].size, stage.width)
