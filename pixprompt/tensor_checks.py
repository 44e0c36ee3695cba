"""What images and outputs must be at the border of a model; images as canvases. No torch import by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .core import ModelError, RangeError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_images", "check_outputs", "to_images", "to_pixels"]

_STEP_TOLERANCE = 0.01
"""In 8-bit steps: float32 keeps a multiple of 1/255 to a few millionths of one."""

_TOLERANCE = 1e-5
"""Blends and the straight-through rounding may leave [0, 1] by a float32 rounding."""


def check_images(images: Tensor, image_size: tuple[int, int]) -> None:
    """Refuses images that are not (N, 3, H, W) in [0, 1].

    Raises:
        RangeError: Values lie outside [0, 1] or are no floating-point numbers; the message says min and max.
        ShapeError: The shape is another one.
    """
    expected = (3, *image_size)
    if images.ndim != 4 or tuple(images.shape[1:]) != expected or len(images) == 0:
        raise ShapeError(
            f"expected images (N, {', '.join(map(str, expected))}) with N >= 1, got {tuple(images.shape)}. "
            "A Canvas of the model's image_size makes them."
        )
    if not images.is_floating_point():
        raise RangeError(f"expected float32 images with values in [0, 1], got {images.dtype}. Divide by 255.")
    if images.is_meta:  # shapes alone, to count operations
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if low >= -_TOLERANCE and high <= 1 + _TOLERANCE:
        return
    cause = "Already normalised? Models do that themselves."
    if low >= 0 and high > 16:
        cause = "Still 0..255? Divide by 255."
    if low != low:
        cause = "NaN: did an earlier step diverge?"
    raise RangeError(f"expected images with values in [0, 1], got min {low:.4g}, max {high:.4g}. {cause}")


def check_outputs(outputs: object, num_images: int, num_outputs: int | None, name: str) -> Tensor:
    """Returns outputs as float32 after making sure that they are finite and (N, S).

    Args:
        num_images: N.
        num_outputs: S, or None where any S >= 1 will do.

    Raises:
        ModelError: They are something else; the message says what came.
    """
    from torch import Tensor

    expected = f"({num_images}, {num_outputs or 'S'})"
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"model {name!r} returned {type(outputs).__name__}, expected a tensor {expected}. "
            "Wrap it in a function that returns the scores alone."
        )
    sizes_fit = (
        outputs.ndim == 2 and len(outputs) == num_images and outputs.shape[1] == (num_outputs or outputs.shape[1])
    )
    if not sizes_fit or outputs.numel() == 0:
        raise ModelError(
            f"model {name!r} returned a tensor {tuple(outputs.shape)}, expected {expected}: "
            "one row of scores per image."
        )
    outputs = outputs.float()
    finite = outputs.detach().isfinite()
    if not finite.all():
        raise ModelError(
            f"model {name!r} returned NaN or infinity in {int((~finite).any(1).sum())} of {num_images} answers. "
            "Check its weights, or use a wider --precision."
        )
    return outputs


def to_images(canvases: npt.NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """Canvases (N, H, W, 3) uint8 -> images (N, 3, H, W) float32 in [0, 1], in channels-last memory order."""
    import torch

    writable = np.require(canvases, requirements=["C", "W"])  # a copy only where torch would warn or refuse
    return torch.from_numpy(writable).to(device).permute(0, 3, 1, 2).float() / 255


def to_pixels(images: Tensor) -> Tensor:
    """Returns the 8-bit values of images, (N, 3, H, W) uint8, on the CPU, in their memory order.

    Raises:
        RangeError: They are no multiples of 1/255.
    """
    import torch

    steps = images.float() * 255
    pixels = steps.round()
    max_error = float((steps - pixels).abs().max())
    if max_error > _STEP_TOLERANCE:
        raise RangeError(
            f"expected images of 8-bit values, multiples of 1/255, got values {max_error:.2g} of a step away. "
            "Round the prompted images as their PNG would."
        )
    return pixels.clamp(0, 255).to(torch.uint8).cpu()
