"""A copy of a backbone that shares the memory of all tensors but those that are tuned."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones import ViT
from ..core import ConfigError, Model
from ..models import TorchModel, local_net

__all__ = ["open_vit", "resized_position", "tunable_copy"]


def open_vit(model: Model) -> ViT:
    """Returns the view of a model's vision transformer.

    Raises:
        AccessError: The model cannot be reached into.
        ConfigError: It is no vision transformer.
    """
    return ViT(local_net(model, "segmentation, which reads the tokens inside a model,"))


def tunable_copy(
    view: ViT, grid: tuple[int, int], is_tuned: Callable[[str], bool]
) -> tuple[ViT, dict[str, nn.Parameter]]:
    """Copies a transformer without its memory; the one that is given is not touched, now or later.

    Args:
        grid: Patches (down, across) of the images to come; the copy's position embedding is made to fit.
        is_tuned: Says by its name whether a parameter becomes tuned.

    Returns:
        A view of the copy, and its own parameters by name.
    """
    shared: dict[int, object] = {id(value): value for value in view.net.buffers()}
    shared |= {id(value): nn.Parameter(value.detach(), requires_grad=False) for value in view.net.parameters()}
    net = copy.deepcopy(view.net, shared)
    model = view.model
    tuned = ViT(TorchModel(net, model.spec, mean=model.mean.tolist(), std=model.std.tolist(), owned=True))
    position = resized_position(tuned.position.detach(), tuned.grid, grid)
    used = {id(value) for value in tuned.parameters()} - {id(value) for value in tuned.norm.parameters()}
    parameters: dict[str, nn.Parameter] = {}
    for name, value in net.named_parameters():
        if value.data_ptr() == tuned.position.data_ptr():
            value.data = position.reshape(*value.shape[:-2], *position.shape[1:])
        if id(value) in used and is_tuned(name):
            value.data = value.data.clone()
            value.requires_grad_(True)
            parameters[name] = value
    return ViT(tuned.model), parameters


def resized_position(position: Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Resizes a position embedding to another grid, bicubic; that of prefix tokens stays as it is.

    Args:
        position: (1, T, D); the last rows are those of the patches.
        grid: Patches (down, across) that it is for.
        new_grid: Those of the result; the same grid returns the same tensor.

    Raises:
        ConfigError: The grid has no patch.
    """
    if min(new_grid) < 1:
        raise ConfigError(f"a crop needs at least one patch each way, got {new_grid[0]}x{new_grid[1]}.")
    if grid == new_grid:
        return position
    first = position.shape[1] - grid[0] * grid[1]
    patches = position[:, first:].transpose(1, 2).reshape(1, -1, *grid)
    resized = F.interpolate(patches, new_grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([position[:, :first], resized.flatten(2).transpose(1, 2)], 1)
