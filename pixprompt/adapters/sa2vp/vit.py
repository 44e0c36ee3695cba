"""SA²VP on a vision transformer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones import ViT
from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead, drop, drop_per_image
from ..whitebox import Parts
from .attention import aligned_attention
from .layers import LayerTokens, finish, start
from .options import SA2VPOptions, prompt_layers
from .parts import PromptMap, Scaling, make_prompt_adapter
from .pathways import SA2VP, States

__all__ = ["ViTSA2VP"]

_Pair = tuple[Tensor, Tensor]


class ViTSA2VP(SA2VP):
    """SA²VP of a ViT: a map of prompts as large as the image's map, or smaller, with the same position embedding.

    Layer by layer the prompts query the image (`prompt_layers`) or the image queries the prompts, with the queries,
    keys, values and output projection that the layer computes for its own attention anyway. Patches query the patches
    around their own place; CLS queries everything.

    Raises:
        ConfigError: The model is no vision transformer, or its grid cannot be scaled so.

    Reference: arXiv 2312.10376, equations 2 to 6.
    """

    view: ViT

    def __init__(
        self, model: TorchModel, classes: tuple[str, ...], options: SA2VPOptions, *, generator: Generator
    ) -> None:
        super().__init__(model, classes, options)
        view = self.view = ViT(model)
        self.prompt_layers = prompt_layers(view.depth)
        self.grid = _scaled(view.grid, options.map_scale)
        count = view.num_prefix + math.prod(self.grid)
        num_maps = len(self.prompt_layers) if options.deep else 1
        self.maps = nn.ModuleList(
            PromptMap(count, view.width, rank=options.rank, generator=generator) for _ in range(num_maps)
        )
        self.scalings = nn.ModuleList(Scaling(view.width, generator=generator) for _ in range(num_maps - 1))
        self.adapters = nn.ModuleList(
            make_prompt_adapter(view.width, options, generator=generator) for _ in range(view.depth)
        )
        self.head = ClassifierHead(view.width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the tokens at the entry of the first layer, (N, T, D)."""
        return (self.view.embed(images),)

    def features(self, parts: Parts, *, both: bool, generator: Generator | None = None) -> tuple[Tensor, ...]:
        """Returns CLS behind the final norm, (N, D), of one pathway or both."""
        with self.model.held():
            for pair in self._run_layers(parts[0], both, generator):
                last = pair
            return tuple(cast(Tensor, self.view.norm(tokens[:, 0])) for tokens in last[: 1 + both])

    @torch.no_grad()
    def states(self, images: Tensor) -> States:
        """Returns the patch tokens of both pathways as they enter each layer."""
        prefix, depth = self.view.num_prefix, self.view.depth
        with self.model.held():
            pairs = list(self._run_layers(self.view.embed(images), False, None))[:depth]
        image, prompts = zip(*((tokens[:, prefix:], map_[:, prefix:]) for tokens, map_ in pairs), strict=True)
        return States(image, prompts, ((self.view.grid, self.grid),) * depth, tuple(range(depth)))

    def _run_layers(self, images: Tensor, both: bool, generator: Generator | None) -> Iterator[_Pair]:
        """Yields image and prompt tokens as they enter each layer, then what leaves the last one: its first token."""
        prompts = self._first_prompts(len(images), generator)
        for index in range(self.view.depth - 1):
            yield images, prompts
            images, prompts = self._run_layer(index, images, prompts, generator)
        yield images, prompts
        yield self._run_last(images, prompts, both, generator)

    def _first_prompts(self, num_images: int, generator: Generator | None) -> Tensor:
        """The first map with its position embedding, (1, T', D); (N, T', D) where dropout makes it differ."""
        placed = self.view.norm_pre(_positioned(self.maps[0](), self.view, self.grid))
        return drop_per_image(placed, num_images, self.dropout, generator=generator)

    def _run_layer(self, index: int, images: Tensor, prompts: Tensor, generator: Generator | None) -> _Pair:
        layer = self.view.layers[index]
        number = self.prompt_layers.index(index) if index in self.prompt_layers else 0
        new = [self.maps[number]()] if 0 < number < len(self.maps) else []
        beside = new if self.options.new_maps == "through-layer" else []
        # One after the other: a joint pass copies all tokens, and is slower.
        inside = [start(layer, stream) for stream in (images, prompts, *beside)]
        leaving = [finish(layer, tokens) for tokens in inside]
        for new_map in leaving[2:] or new:
            leaving[1] = leaving[1] + self.scalings[number - 1](new_map)
        side = 1 if index in self.prompt_layers else 0
        exchanged = self._exchange(index, inside[side], inside[1 - side], generator)
        leaving[side] = torch.add(leaving[side], exchanged, alpha=self.options.gamma)
        return leaving[0], leaving[1]

    def _run_last(self, images: Tensor, prompts: Tensor, both: bool, generator: Generator | None) -> _Pair:
        """The last layer, where the image queries the prompts; only the first token is read, no other is computed."""
        index = self.view.depth - 1
        layer = self.view.layers[index]
        # The image comes last, so that what it is normed to is the last that a hook on the backbone sees.
        prompt, image = start(layer, prompts), start(layer, images)
        prompt_cls = finish(layer, prompt.first(1)) if both else prompts[:, :1]
        exchanged = self._exchange(index, image.first(1), prompt, generator)
        return finish(layer, image.first(1)) + self.options.gamma * exchanged, prompt_cls

    def _exchange(self, index: int, querying: LayerTokens, source: LayerTokens, generator: Generator | None) -> Tensor:
        """What one pathway receives from the other at a layer: aligned attention, residual on the query, adapter."""
        layer = self.view.layers[index]
        if querying.tokens.shape[1] == 1:  # CLS alone
            mixed = F.scaled_dot_product_attention(querying.queries, source.keys, source.values)
        else:
            of_image, of_prompts = self.view.grid, self.grid
            grids = (of_prompts, of_image) if index in self.prompt_layers else (of_image, of_prompts)
            mixed = aligned_attention(
                querying.queries,
                source.keys,
                source.values,
                query_grid=grids[0],
                source_grid=grids[1],
                num_prefix=self.view.num_prefix,
                window=self.options.window or None,
            )
        tokens = drop(layer.scale1(layer.join(mixed)), self.dropout, generator=generator) + querying.tokens
        return cast(Tensor, self.adapters[index](tokens, generator=generator))


def _scaled(grid: tuple[int, int], scale: int) -> tuple[int, int]:
    """Returns the map's grid.

    Raises:
        ConfigError: The image's grid is no multiple of the scale.
    """
    if grid[0] % scale or grid[1] % scale:
        raise ConfigError(f"the image's map is {grid[0]} x {grid[1]}, which cannot be scaled down by {scale}.")
    return grid[0] // scale, grid[1] // scale


def _positioned(map_: Tensor, view: ViT, grid: tuple[int, int]) -> Tensor:
    """A map (1, T', D) with the frozen position embedding, resampled where the map is smaller than the image's."""
    count = math.prod(view.grid)
    places = view.position.detach()
    prefix, patches = places[:, :-count], places[:, -count:]
    if grid != view.grid:
        arranged = patches.transpose(1, 2).reshape(1, -1, *view.grid)
        smaller = F.interpolate(arranged, size=grid, mode="bicubic", antialias=True)
        patches = smaller.flatten(2).transpose(1, 2)
    positions = torch.cat([prefix, patches], 1)
    return map_ + F.pad(positions, (0, 0, map_.shape[1] - positions.shape[1], 0))
