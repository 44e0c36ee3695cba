"""Whether a map of prompts stays aligned with the image: which prompts are similar to an image token, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ...adapters.sa2vp import SA2VP, States
from ...adapters.sa2vp.attention import aligned
from ...core import ConfigError
from ...engine.answers import batches, to_images
from ...plots import Pixels

__all__ = ["Alignment", "PromptSimilarity", "aligned_places", "cosines", "measure_alignment", "prompt_similarity"]

Grid = tuple[int, int]
Maps = npt.NDArray[np.float32]
_BATCH = 8
"""Every image token is compared with every prompt token."""


@dataclass(frozen=True)
class Alignment:
    """How aligned a layer is, over image tokens and images.

    Attributes:
        layer: Its number, from 0.
        margin: Mean of: similarity at the aligned place minus the mean over the map; 0 if places meant nothing.
        percentile: Mean share of the other places that are less alike than the aligned one, ties half; 0.5 if places
            meant nothing, 1 if the aligned place is the most similar one of each token.
    """

    layer: int
    margin: float
    percentile: float


@dataclass(frozen=True, eq=False)
class PromptSimilarity:
    """Similarity of one image token of each image to the map of prompts, at one layer.

    Attributes:
        layer: Its number, from 0.
        grids: (image grid, prompt grid).
        tokens: (N, 2) row and column of the image token.
        aligned: (N, 2) row and column of the prompt at its place.
        maps: (N, h', w') cosine similarities.
    """

    layer: int
    grids: tuple[Grid, Grid]
    tokens: npt.NDArray[np.int64]
    aligned: npt.NDArray[np.int64]
    maps: Maps


def cosines(images: Tensor, prompts: Tensor) -> Tensor:
    """Image tokens (N, P, D), prompt tokens (1 or N, M, D) -> cosine similarities (N, P, M)."""
    return F.normalize(images.float(), dim=-1) @ F.normalize(prompts.float(), dim=-1).transpose(1, 2)


def aligned_places(images: Grid, prompts: Grid) -> Tensor:
    """Returns for each token of the image grid, row by row, the prompt in whose place its middle lies, (P,)."""
    rows, columns = (torch.tensor(aligned(*sides)) for sides in zip(images, prompts, strict=True))
    return (rows[:, None] * prompts[1] + columns).flatten()


@torch.no_grad()
def prompt_similarity(
    adapter: SA2VP, images: Tensor, maps: Maps | None, *, layer: int | None = None
) -> PromptSimilarity:
    """Compares the most salient token of each image with the whole map of prompts.

    The paper picks one of the salient tokens at random. Here it is the one at the largest value of the Grad-CAM map,
    so that the same run gives the same picture; where there is no map, or one of zeros, the token of largest norm.

    Args:
        adapter: In evaluation mode.
        images: (N, 3, H, W) in [0, 1].
        maps: (N, h, w) Grad-CAM of the adapter.
        layer: Whose entering states are compared; None for the last layer at which the pathways interact.

    Raises:
        ConfigError: The pathways do not interact at that layer.

    Reference: arXiv 2312.10376, figure 5.
    """
    states = adapter.states(images)
    index = _index(states, layer)
    tokens, (of_images, of_prompts) = states.images[index], states.grids[index]
    norms = tokens.norm(dim=-1).reshape(-1, *of_images).cpu().numpy()
    places = np.stack(
        [
            _salient(norm, None if maps is None or not maps[number].any() else maps[number])
            for number, norm in enumerate(norms)
        ]
    )
    flat_tokens = torch.from_numpy(places[:, 0] * of_images[1] + places[:, 1])
    picked = tokens[torch.arange(len(tokens)), flat_tokens.to(tokens.device)]
    similarities = cosines(picked[:, None], states.prompts[index]).reshape(-1, *of_prompts).cpu().numpy()
    flat_prompts = aligned_places(of_images, of_prompts)[flat_tokens].numpy()
    aligned = np.stack([flat_prompts // of_prompts[1], flat_prompts % of_prompts[1]], 1)
    return PromptSimilarity(states.layers[index], (of_images, of_prompts), places, aligned, similarities)


def _index(states: States, layer: int | None) -> int:
    if layer is None:
        return len(states.layers) - 1
    if layer not in states.layers:
        layers = ", ".join(map(str, states.layers))
        raise ConfigError(f"the pathways do not interact at layer {layer}; they do at {layers}.")
    return states.layers.index(layer)


def _salient(norms: Maps, heat: Maps | None) -> npt.NDArray[np.int64]:
    """Returns row and column of the token that the largest value lies in."""
    values = norms if heat is None else heat
    peak = np.unravel_index(int(values.argmax()), values.shape)
    sides = zip(peak, values.shape, norms.shape, strict=True)
    return np.array([aligned(old, new)[int(at)] for at, old, new in sides])


@torch.no_grad()
def measure_alignment(adapter: SA2VP, pixels: Pixels, device: str) -> list[Alignment]:
    """Returns how aligned each layer of interaction is.

    Args:
        adapter: In evaluation mode.
        pixels: (N, H, W, 3) canvases.
    """
    sums: dict[int, Tensor] = {}
    for part in batches(len(pixels), _BATCH):
        states = adapter.states(to_images(pixels[part], device))
        for layer, images, prompts, grids in zip(
            states.layers, states.images, states.prompts, states.grids, strict=True
        ):
            places = aligned_places(*grids).to(images.device)
            sums[layer] = sums.get(layer, torch.zeros(2)) + _scores(cosines(images, prompts), places)
    return [Alignment(layer, *(total / len(pixels)).tolist()) for layer, total in sums.items()]


def _scores(similarities: Tensor, places: Tensor) -> Tensor:
    """Similarities (N, P, M) -> margin and percentile, summed over images: (2,) float64 on the CPU."""
    own = similarities.gather(2, places.expand(len(similarities), -1)[..., None])
    margin = own[..., 0] - similarities.mean(2)
    others = max(similarities.shape[2] - 1, 1)
    ahead = ((similarities < own).double().sum(2) + 0.5 * ((similarities == own).double().sum(2) - 1)) / others
    if similarities.shape[2] == 1:
        ahead = torch.full_like(ahead, 0.5)
    return torch.stack([margin.double().mean(1).sum(), ahead.mean(1).sum()]).cpu()
