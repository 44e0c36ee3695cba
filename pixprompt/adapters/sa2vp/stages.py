"""SA²VP on a backbone of stages: the pathways meet in the blocks of one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor, nn

from ...backbones.convnet import ConvNet
from ...backbones.swin import Swin
from ...models import TorchModel
from ..heads import ClassifierHead, drop
from ..whitebox import Parts
from .attention import aligned_attention
from .options import SA2VPOptions, prompt_layers
from .parts import PromptMap, Scaling, make_prompt_adapter
from .pathways import SA2VP, States

__all__ = ["BlockTokens", "Shape", "StageLayer", "StagedSA2VP", "largest_stage"]

_THIRD = 2
Shape = tuple[int, int, int]
"""(down, across, D) of a map."""


@dataclass(frozen=True)
class BlockTokens:
    """Tokens (n, h, w, D) at the place in a block where the pathways meet, and what it projected them to."""

    tokens: Tensor
    projected: Tensor


class StageLayer(ABC):
    """One frozen block in two halves, with the queries, keys and values of the tokens between them."""

    @abstractmethod
    def start(self, tokens: Tensor) -> BlockTokens:
        """Tokens (n, h, w, D) as they enter the block -> where the pathways meet."""

    @abstractmethod
    def finish(self, inside: BlockTokens) -> Tensor:
        """Returns what leaves the block, (n, h, w, D)."""

    @abstractmethod
    def queries(self, inside: BlockTokens) -> Tensor:
        """Returns the queries, (n, heads, h w, d)."""

    @abstractmethod
    def keys_and_values(self, inside: BlockTokens) -> tuple[Tensor, Tensor]:
        """Returns keys and values, (n, heads, h w, d)."""

    @abstractmethod
    def join(self, mixed: Tensor) -> Tensor:
        """Results of attention (n, heads, h w, d) -> (n, h w, D), through the output projection where there is one."""


class StagedSA2VP(SA2VP):
    """SA²VP of stages: both pathways run through all of them and meet at the blocks of the one with most blocks.

    The map goes once for all images through the stages below; in training all images of a batch share its dropout.

    Args:
        stage_index: Of the stage of interaction, see `largest_stage`.
        layers: Its blocks.
        shapes: Of the map at the input, and of prompts where they meet the image.
    """

    caches_frozen = True
    view: Swin | ConvNet

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        options: SA2VPOptions,
        *,
        view: Swin | ConvNet,
        stage_index: int,
        layers: Sequence[StageLayer],
        shapes: tuple[Shape, Shape],
        generator: Generator,
    ) -> None:
        super().__init__(model, classes, options)
        self.view, self.stage_index, self.layers = view, stage_index, layers
        self.prompt_layers = prompt_layers(len(layers))
        self.shapes = (shapes[0], *[shapes[1]] * (len(self.prompt_layers) - 1 if options.deep else 0))
        width = shapes[1][2]
        self.maps = nn.ModuleList(
            PromptMap(down * across, channels, rank=options.rank, generator=generator)
            for down, across, channels in self.shapes
        )
        self.scalings = nn.ModuleList(Scaling(width, generator=generator) for _ in self.shapes[1:])
        self.adapters = nn.ModuleList(make_prompt_adapter(width, options, generator=generator) for _ in layers)
        self.head = ClassifierHead(view.width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the image's tokens as they enter the stage of interaction, (N, h, w, D)."""
        return (self._enter_stage(self.view.embed(images)),)

    def features(self, parts: Parts, *, both: bool, generator: Generator | None = None) -> tuple[Tensor, ...]:
        """Returns what the model's own classifier would see of one pathway or both, (N, D') each."""
        with self.model.held():
            streams = [parts[0], self._first_prompts(generator)]
            for place in range(len(self.layers)):
                _, streams = self._run_layer(place, streams, both, generator)
            return tuple(self._to_features(stream) for stream in streams)

    @torch.no_grad()
    def states(self, images: Tensor) -> States:
        """Returns the tokens of both pathways as they meet at each block of the stage of interaction."""
        blocks: list[list[BlockTokens]] = []
        streams = [*self.frozen(images)]
        with self.model.held():
            streams.append(self._first_prompts(None))
            for place in range(len(self.layers)):
                inside, streams = self._run_layer(place, streams, True, None)
                blocks.append(inside[:2])
        image, prompts = zip(*([stream.tokens.flatten(1, 2) for stream in inside] for inside in blocks), strict=True)
        grids = tuple((_grid(inside[0]), _grid(inside[1])) for inside in blocks)
        below = sum(len(stage.blocks) for stage in self.view.stages[: self.stage_index])
        return States(image, prompts, grids, tuple(range(below, below + len(blocks))))

    @staticmethod
    def to_tokens(maps: Tensor) -> Tensor:
        """Maps as the backbone has them -> (n, h, w, D)."""
        return maps

    @staticmethod
    def to_maps(tokens: Tensor) -> Tensor:
        """The way back from `to_tokens`."""
        return tokens

    def _enter_stage(self, maps: Tensor) -> Tensor:
        """What enters the first stage -> tokens as they enter the first block of the stage of interaction."""
        for stage in self.view.stages[: self.stage_index]:
            maps = stage(maps)
        return self.to_tokens(self.view.stages[self.stage_index].enter(maps))

    def _to_features(self, tokens: Tensor) -> Tensor:
        """What leaves the stage of interaction -> features."""
        maps = self.to_maps(tokens)
        for stage in self.view.stages[self.stage_index + 1 :]:
            maps = stage(maps)
        return self.view.pool(maps)

    def _first_prompts(self, generator: Generator | None) -> Tensor:
        """The first map as it enters the stage of interaction, once for all images."""
        return self._enter_stage(self.to_maps(drop(self._map(0), self.dropout, generator=generator)))

    def _map(self, number: int) -> Tensor:
        tokens: Tensor = self.maps[number]()
        return tokens.view(1, *self.shapes[number])

    def _run_layer(
        self, place: int, streams: list[Tensor], both: bool, generator: Generator | None
    ) -> tuple[list[BlockTokens], list[Tensor]]:
        """Image and prompts as they meet at a block and as they leave it; no prompts where nothing reads them."""
        number = self.prompt_layers.index(place) if place in self.prompt_layers else 0
        new = [self._map(number)] if 0 < number < len(self.shapes) else []
        entering = [*streams, *new] if self.options.new_maps == "through-layer" else streams
        # At the last block the image queries the prompts: without `both` nothing reads those behind it.
        reads_prompts = both or place < len(self.layers) - 1
        layer, num_leaving = self.layers[place], len(entering) if reads_prompts else 1
        inside = [layer.start(stream) for stream in entering]
        leaving = [layer.finish(tokens) for tokens in inside[:num_leaving]]
        for new_map in leaving[2:] or new:
            leaving[1] = leaving[1] + self.scalings[number - 1](new_map)
        side = 1 if place in self.prompt_layers else 0
        exchanged = self.exchange(place, inside[side], inside[1 - side], generator)
        leaving[side] = leaving[side] + self.options.gamma * exchanged
        return inside, leaving[:2]

    def exchange(
        self, place: int, querying: BlockTokens, source: BlockTokens, generator: Generator | None = None
    ) -> Tensor:
        """Returns what one pathway receives from the other: aligned attention, residual on the query, adapter.

        Args:
            place: Of a block in the stage of interaction.
            querying: Tokens of the pathway that receives.
            source: Tokens of the other.
            generator: Draws the dropout in training mode.
        """
        layer, grid = self.layers[place], _grid(querying)
        keys, values = layer.keys_and_values(source)
        mixed = aligned_attention(
            layer.queries(querying),
            keys,
            values,
            query_grid=grid,
            source_grid=_grid(source),
            window=self.options.window or None,
        )
        tokens = drop(layer.join(mixed), self.dropout, generator=generator) + querying.tokens.flatten(1, 2)
        return cast(Tensor, self.adapters[place](tokens, generator=generator)).view(len(tokens), *grid, -1)


def largest_stage(view: Swin | ConvNet) -> int:
    """Returns the number of the stage with most blocks; of several the one nearest to the third, the upper if two."""
    sizes = [len(stage.blocks) for stage in view.stages]
    return max(range(len(sizes)), key=lambda number: (sizes[number], -abs(number - _THIRD), number))


def _grid(inside: BlockTokens) -> tuple[int, int]:
    return inside.tokens.shape[1], inside.tokens.shape[2]
