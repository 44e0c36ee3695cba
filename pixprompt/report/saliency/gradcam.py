"""Grad-CAM: the last feature maps that have places in the image, weighted by the gradient of a class's score.

Reference: arXiv 1610.02391 (Grad-CAM), equations 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ...core import ModelError

__all__ = ["Saliency", "gradcam"]

_MOST_PREFIX = 16
"""More leading tokens than a class token and registers ever are."""


@dataclass(frozen=True)
class Saliency:
    """Maps of a batch.

    Attributes:
        maps: (N, h, w) float32, not negative; each is scaled to a largest value of 1, or 0 everywhere.
        layer: Name of the layer whose output was read.
    """

    maps: Tensor
    layer: str


@dataclass(frozen=True)
class _Captured:
    name: str
    output: Tensor
    channels: int
    """-1 where they come last."""


def gradcam(
    net: nn.Module,
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    classes: Tensor,
    *,
    grid: tuple[int, int] | None = None,
) -> Saliency:
    """Computes Grad-CAM on the last convolution, or the last normalised tokens, that the score still depends on.

    The tokens that leave the last block of a vision transformer have no influence but through the class token; the
    last ones that have it are those that enter its attention. The net is not changed: the hooks are gone afterwards,
    whatever happens.

    Args:
        net: The module that `score` runs at some point.
        score: Images (N, 3, H, W) -> logits (N, K), differentiable.
        images: (N, 3, H, W) in [0, 1]; few, because every feature map is held.
        classes: (N,), whose logit is explained for each image.
        grid: Patches (down, across), the last tokens of a vision transformer; None to guess it.

    Raises:
        ModelError: No layer has a feature map with places, or the score does not depend on one.
    """
    captured: list[_Captured] = []
    hooks = [
        module.register_forward_hook(partial(_capture, captured, name, len(images)))
        for name, module in net.named_modules()
        if isinstance(module, (nn.Conv2d, nn.LayerNorm))
    ]
    try:
        with torch.enable_grad():
            logits = score(images.detach().clone().requires_grad_())
            explained = logits.gather(1, classes[:, None]).sum()
            outputs = [item.output for item in captured]
            gradients: Sequence[Tensor | None] = (
                torch.autograd.grad(explained, outputs, allow_unused=True) if outputs else ()
            )
    except RuntimeError as error:
        raise ModelError(f"no gradient reaches the feature maps ({str(error).splitlines()[0]}).") from error
    finally:
        for hook in hooks:
            hook.remove()
    guess, most = (_patch_grid(captured), _MOST_PREFIX) if grid is None else (grid, None)
    for item, gradient in reversed(list(zip(captured, gradients, strict=True))):
        if gradient is None:
            continue
        features, slopes = (_with_places(part, item.channels, guess, most) for part in (item.output, gradient))
        if features is not None and slopes is not None and bool(slopes.any()):
            return Saliency(_scaled(_weighted(features.detach(), slopes)), item.name)
    raise ModelError("the net has no convolution or token layer with places that the answer depends on.")


def _capture(
    captured: list[_Captured], name: str, count: int, module: nn.Module, _: object, output: object
) -> Tensor | None:
    """Keeps an output with its graph, and hands a copy on, which a later layer may overwrite."""
    if not isinstance(output, Tensor) or output.ndim not in (3, 4) or not output.requires_grad:
        return None
    if len(output) != count:  # tokens first, or windows in place of images
        return None
    first = isinstance(module, nn.Conv2d) or (output.ndim == 4 and _normalizes_second(module, output))
    captured.append(_Captured(name, output, 1 if first else -1))
    return output.clone()


def _normalizes_second(module: nn.Module, output: Tensor) -> bool:
    """Whether a layer norm works on channels that come first, as some subclasses do."""
    shape = tuple(module.normalized_shape) if isinstance(module, nn.LayerNorm) else ()
    return output.shape[-1:] != shape and output.shape[1:2] == shape


def _patch_grid(captured: list[_Captured]) -> tuple[int, int] | None:
    """The rows and columns of the last convolution before any tokens: those of the patches."""
    for item in reversed(captured):
        if item.channels == 1 and item.output.ndim == 4:
            return int(item.output.shape[2]), int(item.output.shape[3])
    return None


def _with_places(values: Tensor, channels: int, grid: tuple[int, int] | None, most: int | None) -> Tensor | None:
    """Returns values as (N, C, h, w), or None where they have no places.

    The places are the last tokens, behind at most so many others; None where the grid is known, and not guessed.
    """
    if values.ndim == 4:
        arranged = values if channels == 1 else values.permute(0, 3, 1, 2)
        return arranged if arranged.shape[2] * arranged.shape[3] > 1 else None
    tokens = int(values.shape[1])
    square = None if most is None else (math.isqrt(tokens),) * 2
    for height, width in filter(None, (grid, square)):
        prefix = tokens - height * width
        if height * width > 1 and 0 <= prefix <= (tokens if most is None else most):
            return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, height, width)
    return None


def _weighted(features: Tensor, slopes: Tensor) -> Tensor:
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu().float().cpu()


def _scaled(maps: Tensor) -> Tensor:
    largest = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(largest > 0, maps / largest.clamp_min(torch.finfo(torch.float32).tiny), 0.0)
