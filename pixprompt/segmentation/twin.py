"""A backbone's twin: the same modules once more, on the same memory but for the tensors that become its own."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones import ViT
from ..core import AccessError, ConfigError, Model
from ..models import TorchModel

__all__ = ["backbone_sha256", "open_vit", "resized_position", "twin_of"]


def open_vit(model: Model) -> ViT:
    """Returns the view of a model's vision transformer.

    Raises:
        AccessError: The model cannot be reached into.
        ConfigError: It is no vision transformer.
    """
    if not isinstance(model, TorchModel):
        raise AccessError(
            f"segmentation reads the tokens inside a model; {model.spec.name} only answers. "
            "Use one of timm or open_clip."
        )
    return ViT(model)


def twin_of(view: ViT, grid: tuple[int, int], wanted: Callable[[str], bool]) -> tuple[ViT, dict[str, nn.Parameter]]:
    """Copies a transformer without its memory; the one that is given is not touched, now or later.

    Args:
        view: Of the frozen transformer.
        grid: Patches (down, across) of the images to come; the twin's position embedding is made to fit.
        wanted: Says by its name whether a parameter becomes the twin's own, a copy that may be tuned.

    Returns:
        A view of the twin, and its own parameters by name.
    """
    shared: dict[int, object] = {id(value): value for value in view.net.buffers()}
    shared |= {id(value): nn.Parameter(value.detach(), requires_grad=False) for value in view.net.parameters()}
    net = copy.deepcopy(view.net, shared)
    model = view.model
    twin = ViT(TorchModel(net, model.spec, mean=model.mean.tolist(), std=model.std.tolist(), owned=True))
    position = resized_position(twin.position.detach(), twin.grid, grid)
    used = {id(value) for value in twin.parameters()} - {id(value) for value in twin.norm.parameters()}
    own: dict[str, nn.Parameter] = {}
    for name, value in net.named_parameters():
        if value.data_ptr() == twin.position.data_ptr():
            value.data = position.reshape(*value.shape[:-2], *position.shape[1:])
        if id(value) in used and wanted(name):
            value.data = value.data.clone()
            value.requires_grad_(True)
            own[name] = value
    return ViT(twin.model), own


def resized_position(position: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Resizes a position embedding to another grid, bicubic; that of prefix tokens stays as it is.

    Args:
        position: (1, T, D); the last rows are those of the patches.
        grid: Patches (down, across) that it is for.
        wanted: Those that it is to be for; the same give the same tensor.

    Raises:
        ConfigError: The grid has no patch.
    """
    if min(wanted) < 1:
        raise ConfigError(f"a crop needs at least one patch each way, got {wanted[0]}x{wanted[1]}.")
    if grid == wanted:
        return position
    first = position.shape[1] - grid[0] * grid[1]
    patches = position[:, first:].transpose(1, 2).reshape(1, -1, *grid)
    resized = F.interpolate(patches, wanted, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([position[:, :first], resized.flatten(2).transpose(1, 2)], 1)


def backbone_sha256(view: ViT) -> str:
    """Returns a digest of the weights on the way from the images to the last layer, names and shapes included."""
    used = {id(value) for value in view.parameters()}
    digest = hashlib.sha256()
    for name, value in view.net.named_parameters():
        if id(value) in used:
            content = value.detach().float().cpu().contiguous()
            digest.update(f"{name} {tuple(content.shape)}\n".encode())
            digest.update(content.numpy().tobytes())
    return digest.hexdigest()
