"""Where VPT's prompts enter a ViT."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones import ViT
from ...core import ConfigError
from ..heads import drop_per_image
from .layers import insert, run_layers, step
from .options import VPTOptions
from .prompts import PromptSets, prompt_bound, uniform

__all__ = ["Location", "PrependedPrompts", "make_location"]


class Location(nn.Module, ABC):
    """Images -> final tokens, before the last norm; what is learned are its parameters."""

    def __init__(self, view: ViT, options: VPTOptions, *, generator: Generator) -> None:
        super().__init__()
        self.view, self.options = view, options
        self.rows = 1 if options.pool == "cls" else None
        self.build(view.patch_size, generator)

    @abstractmethod
    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        """Makes the parameters."""

    @abstractmethod
    def before(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> what enters the first learned part, (N, ..., D)."""

    @abstractmethod
    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Results of `before` -> final tokens (N, R, D): CLS alone where the head reads nothing else."""

    def dropped(self, prompts: Tensor, num_images: int, generator: Generator | None) -> Tensor:
        """Prompts (1, R, D) -> the same, or in training mode with dropout one for each image, (N, R, D)."""
        rate = self.options.dropout if self.training else 0.0
        return drop_per_image(prompts, num_images, rate, generator=generator)


class _Nothing(Location):
    """No prompts: all layers are frozen."""

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        """Nothing is learned."""

    def before(self, images: Tensor) -> Tensor:
        return run_layers(self.view.layers, self.view.embed(images), rows=self.rows)

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        return tokens


class _PerLayer(Location):
    """Prompts of their own at each of `depth` layers, from the bottom or the top."""

    num_tokens: int

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        options, depth = self.options, self.view.depth
        if options.depth > depth:
            raise ConfigError(
                f"{self.view.model.spec.name} has {depth} layers, got depth {options.depth}. Choose 1..{depth}."
            )
        self.first = depth - options.depth if options.depth_from == "top" else 0
        self.stop = self.first + options.depth
        self.sets = PromptSets(
            1 if options.shared else options.depth,
            self.num_tokens,
            self.view.width,
            patch_size=patch_size,
            projection=options.projection,
            dropout=options.dropout,
            generator=generator,
        )

    def before(self, images: Tensor) -> Tensor:
        return run_layers(self.view.layers[: self.first], self.view.embed(images))

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        for index in range(self.first, self.stop):
            prompts = self.sets(index - self.first, len(tokens), generator=generator)
            tokens = self.prompted(index, tokens, prompts)
        return run_layers(self.view.layers[self.stop :], tokens, rows=self.rows)

    @abstractmethod
    def prompted(self, index: int, tokens: Tensor, prompts: Tensor) -> Tensor:
        """Runs layer `index` with its prompts."""

    def rows_of(self, index: int) -> int | None:
        """How many results of a layer are read."""
        return self.rows if index == self.view.depth - 1 else None


class PrependedPrompts(_PerLayer):
    """[CLS, prompts, patches]; behind the last prompted layer the prompts go on as the layers change them."""

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        """See `Location`."""
        self.num_tokens = self.options.tokens or 0
        _check_length(self.view, self.num_tokens)
        super().build(patch_size, generator)

    def prompted(self, index: int, tokens: Tensor, prompts: Tensor) -> Tensor:
        """Runs layer `index` with its prompts."""
        layer, pools_prompts = self.view.layers[index], self.options.pool in ("prompt", "image-and-prompt")
        if index == self.stop - 1 and (pools_prompts or self.stop < self.view.depth):
            return step(layer, insert(tokens, prompts))
        return step(layer, tokens, prompts, rows=self.rows_of(index))


class _Add(_PerLayer):
    """A vector for each token, CLS included, or one for all of them."""

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        num_all = self.view.num_prefix + math.prod(self.view.grid)
        self.num_tokens = 1 if self.options.location == "add-one" else num_all
        super().build(patch_size, generator)

    def prompted(self, index: int, tokens: Tensor, prompts: Tensor) -> Tensor:
        return step(self.view.layers[index], tokens + prompts, rows=self.rows_of(index))


class _PrependPixel(Location):
    """A strip of p patches in the units of normalised images, through the frozen patch convolution."""

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        num_tokens = self.options.tokens or 0
        _check_length(self.view, num_tokens)
        bound = prompt_bound(patch_size, self.view.width)
        self.strip = uniform(3, patch_size[0], patch_size[1] * num_tokens, bound=bound, generator=generator)

    def before(self, images: Tensor) -> Tensor:
        return self.view.embed(images)

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        prompts = self.view.norm_pre(self.view.project(self.strip.unsqueeze(0)).flatten(2).transpose(1, 2))
        tokens = insert(tokens, self.dropped(prompts, len(tokens), generator))
        return run_layers(self.view.layers, tokens, rows=self.rows)


class _ConcatChannel(Location):
    """p channels beneath every image. Their convolution starts at 0, so the first features are the backbone's.

    The frozen convolution of the image and the learned one of the channels are added. (The public code learns both.)
    """

    def build(self, patch_size: tuple[int, int], generator: Generator) -> None:
        num_channels = self.options.tokens or 0
        _check_length(self.view, num_channels)
        size = [side * count for side, count in zip(patch_size, self.view.grid, strict=True)]
        bound = prompt_bound(patch_size, self.view.width)
        self.channels = uniform(num_channels, *size, bound=bound, generator=generator)
        self.kernel = nn.Parameter(torch.zeros(self.view.width, num_channels, *patch_size))

    def before(self, images: Tensor) -> Tensor:
        return self.view.patches(images)

    def forward(self, tokens: Tensor, *, generator: Generator | None = None) -> Tensor:
        beneath = F.conv2d(self.channels.unsqueeze(0), self.kernel, stride=self.view.patch_size)
        prompts = self.dropped(beneath.flatten(2).transpose(1, 2), len(tokens), generator)
        return run_layers(self.view.layers, self.view.place(tokens + prompts), rows=self.rows)


_LOCATIONS: dict[str, type[Location]] = {
    "prepend": PrependedPrompts,
    "add": _Add,
    "add-one": _Add,
    "prepend-pixel": _PrependPixel,
    "concat-channel": _ConcatChannel,
}


def make_location(view: ViT, options: VPTOptions, *, generator: Generator) -> Location:
    """Returns the prompts of the options' location.

    Raises:
        ConfigError: The depth is beyond the model, or there are more tokens than four for each patch.
    """
    return (_Nothing if options.tokens == 0 else _LOCATIONS[options.location])(view, options, generator=generator)


def _check_length(view: ViT, num_tokens: int) -> None:
    limit = 4 * math.prod(view.grid)
    if num_tokens > limit:
        raise ConfigError(
            f"{view.model.spec.name} has {limit // 4} patches; expected at most {limit} tokens, got {num_tokens}."
        )
