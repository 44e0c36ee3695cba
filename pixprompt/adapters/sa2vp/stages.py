"""SA²VP on a backbone of stages: the pathways meet in one of them, its blocks in two halves round the meeting."""

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
from .options import SA2VPOptions, turns
from .parts import PromptMap, Scaling, make_adapter
from .pathways import SA2VP
from .states import States
from .streams import together

__all__ = ["Met", "Shape", "StageLayer", "StagedSA2VP", "fullest"]

_THIRD = 2
Shape = tuple[int, int, int]
"""(down, across, D) of a map."""


@dataclass(frozen=True)
class Met:
    """Tokens (n, h, w, D) at the place in a block where the pathways meet, and what it projected them to."""

    tokens: Tensor
    projected: Tensor

    def split(self, sizes: Sequence[int]) -> list[Met]:
        """Returns the streams that were put one behind the other."""
        parts = (torch.split(part, list(sizes)) for part in (self.tokens, self.projected))
        return [Met(*stream) for stream in zip(*parts, strict=True)]


class StageLayer(ABC):
    """One frozen block: up to where the pathways meet, the meeting, and the way behind it."""

    @abstractmethod
    def attend(self, tokens: Tensor) -> Met:
        """Tokens (n, h, w, D) as they enter the block -> as they meet."""

    @abstractmethod
    def finish(self, met: Met) -> Tensor:
        """Returns what leaves the block, (n, h, w, D)."""

    @abstractmethod
    def ask(self, met: Met) -> Tensor:
        """Returns queries, (n, heads, h w, d)."""

    @abstractmethod
    def answer(self, met: Met) -> tuple[Tensor, Tensor]:
        """Returns keys and values, (n, heads, h w, d)."""

    @abstractmethod
    def join(self, mixed: Tensor) -> Tensor:
        """Results of attention (n, heads, h w, d) -> (n, h w, D), through the output projection where there is one."""


class StagedSA2VP(SA2VP):
    """SA²VP of stages: both pathways run through all of them and meet at the blocks of the one with most blocks.

    The map goes once for all images through the stages below; in training all images of a batch share its dropout.

    Args:
        options: See `SA2VPOptions`.
        view: Of the model.
        number: Of the stage of interaction, see `fullest`.
        layers: Its blocks.
        shapes: Of the map at the input, and of prompts where they meet the image.
    """

    keeps = True

    def __init__(
        self,
        model: TorchModel,
        classes: tuple[str, ...],
        options: SA2VPOptions,
        *,
        view: Swin | ConvNet,
        number: int,
        layers: Sequence[StageLayer],
        shapes: tuple[Shape, Shape],
        generator: Generator,
    ) -> None:
        super().__init__(model, classes, options)
        self.view, self.number, self.layers = view, number, layers
        self.turns = turns(len(layers))
        self.shapes = (shapes[0], *[shapes[1]] * (len(self.turns) - 1 if options.deep else 0))
        width = shapes[1][2]
        self.maps = nn.ModuleList(
            PromptMap(down * across, channels, rank=options.rank, generator=generator)
            for down, across, channels in self.shapes
        )
        self.scalings = nn.ModuleList(Scaling(width, generator=generator) for _ in self.shapes[1:])
        self.adapters = nn.ModuleList(make_adapter(width, options, generator=generator) for _ in layers)
        self.head = ClassifierHead(view.width, len(classes), generator=generator)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns all parameters but the model's own classifier."""
        return self.view.parameters()

    def before(self, images: Tensor) -> Parts:
        """Returns the image's tokens as they enter the stage of interaction, (N, h, w, D)."""
        return (self._rise(self.view.embed(images)),)

    def features(self, parts: Parts, *, both: bool, generator: Generator | None = None) -> tuple[Tensor, ...]:
        """Returns what the model's own classifier would see of one pathway or both, (N, D') each."""
        with self.model.held():
            streams = [parts[0], self._entry(generator)]
            for place in range(len(self.layers)):
                _, streams = self._layer(place, streams, both, generator)
            if both and streams[0].shape == streams[1].shape:
                return self._conclude(torch.cat(streams)).chunk(2)
            return tuple(self._conclude(stream) for stream in streams)

    @torch.no_grad()
    def states(self, images: Tensor) -> States:
        """Returns the tokens of both pathways as they meet at each block of the stage of interaction."""
        found: list[list[Met]] = []
        streams = [*self.frozen(images)]
        with self.model.held():
            streams.append(self._entry(None))
            for place in range(len(self.layers)):
                met, streams = self._layer(place, streams, True, None)
                found.append(met)
        mine, prompts = zip(*([stream.tokens.flatten(1, 2) for stream in met[:2]] for met in found), strict=True)
        grids = tuple((_grid(met[0]), _grid(met[1])) for met in found)
        below = sum(len(stage.blocks) for stage in self.view.stages[: self.number])
        return States(mine, prompts, grids, tuple(range(below, below + len(found))))

    @staticmethod
    def to_tokens(maps: Tensor) -> Tensor:
        """Maps as the backbone has them -> (n, h, w, D)."""
        return maps

    @staticmethod
    def to_maps(tokens: Tensor) -> Tensor:
        """The way back from `to_tokens`."""
        return tokens

    def _rise(self, maps: Tensor) -> Tensor:
        """What enters the first stage -> tokens as they enter the first block of the stage of interaction."""
        for stage in self.view.stages[: self.number]:
            maps = stage(maps)
        return self.to_tokens(self.view.stages[self.number].enter(maps))

    def _conclude(self, tokens: Tensor) -> Tensor:
        """What leaves the stage of interaction -> features."""
        maps = self.to_maps(tokens)
        for stage in self.view.stages[self.number + 1 :]:
            maps = stage(maps)
        return self.view.pool(maps)

    def _entry(self, generator: Generator | None) -> Tensor:
        """The first map as it enters the stage of interaction, once for all images."""
        return self._rise(self.to_maps(drop(self._map(0), self.dropout, generator=generator)))

    def _map(self, number: int) -> Tensor:
        tokens: Tensor = self.maps[number]()
        return tokens.view(1, *self.shapes[number])

    def _layer(
        self, place: int, streams: list[Tensor], both: bool, generator: Generator | None
    ) -> tuple[list[Met], list[Tensor]]:
        """Image and prompts as they meet at a block and as they leave it; no prompts where nothing reads them."""
        number = self.turns.index(place) if place in self.turns else 0
        new = [self._map(number)] if 0 < number < len(self.shapes) else []
        mine = [*streams, *new] if self.options.new_maps == "through-layer" else streams
        # At the last block the image asks: without `both` nothing reads the prompts behind it.
        goes_on = both or place < len(self.layers) - 1
        layer, num_leaving = self.layers[place], len(mine) if goes_on else 1
        met, leaving = together(layer.attend, layer.finish, mine, num_leaving=num_leaving)
        for joining in leaving[2:] or new:
            leaving[1] = leaving[1] + self.scalings[number - 1](joining)
        side = 1 if place in self.turns else 0
        given = self._given(place, met[side], met[1 - side], generator)
        leaving[side] = leaving[side] + self.options.gamma * given
        return met, leaving[:2]

    def _given(self, place: int, asking: Met, asked: Met, generator: Generator | None) -> Tensor:
        """What one pathway gives to the other at a block: aligned attention, residual on the query, adapter."""
        layer, grid = self.layers[place], _grid(asking)
        keys, values = layer.answer(asked)
        mixed = aligned_attention(
            layer.ask(asking),
            keys,
            values,
            query_grid=grid,
            source_grid=_grid(asked),
            window=self.options.window or None,
        )
        told = drop(layer.join(mixed), self.dropout, generator=generator) + asking.tokens.flatten(1, 2)
        return cast(Tensor, self.adapters[place](told, generator=generator)).view(len(told), *grid, -1)


def fullest(view: Swin | ConvNet) -> int:
    """Returns the number of the stage with most blocks; of several the one nearest to the third, the upper if two."""
    sizes = [len(stage.blocks) for stage in view.stages]
    return max(range(len(sizes)), key=lambda number: (sizes[number], -abs(number - _THIRD), number))


def _grid(met: Met) -> tuple[int, int]:
    return met.tokens.shape[1], met.tokens.shape[2]
