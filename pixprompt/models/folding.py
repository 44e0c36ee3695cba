"""Folding: what a frozen ConvNet computes, in fewer passes over its maps and with less held for the backward pass."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["FrozenConv", "fold", "in_autocast_type"]

_TOLERANCE = 1e-4
"""Largest difference of a folded net's outputs, as a share of the largest output; rounding makes 1e-6."""


class FrozenConv(nn.Module):
    """A convolution with fixed weights, a batch norm behind it included: gradients reach the maps alone.

    They need the weights and not the maps, which are therefore not held.

    Args:
        conv: With numeric zero padding, or timm's `Conv2dSame`.
        norm: Directly behind it, in evaluation mode; None for none.
        size: (height, width) of the maps that it will get.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, size: tuple[int, int]) -> None:
        super().__init__()
        weight, bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
        if norm is not None:
            mean: Any = norm.running_mean  # None only where `_is_plain_norm` says no
            variance: Any = norm.running_var
            fused = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, norm.weight, norm.bias)
            weight, bias = (value.detach() for value in fused)
        padding = tuple(int(side) for side in conv.padding)
        self.border = (0, 0, 0, 0)
        if type(conv) is not nn.Conv2d:
            before, after = _same_padding(conv, size)
            if conv.groups == conv.in_channels and conv.dilation == (1, 1):
                # Rows of zeros cost a depthwise kernel less than a copy of the maps.
                weight, padding = F.pad(weight, (after[1] - before[1], 0, after[0] - before[0], 0)), after
            else:
                self.border = (before[1], after[1], before[0], after[0])
        self.settings = (conv.stride, padding, conv.dilation, conv.groups)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last), persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C', H', W'); under autocast in its type."""
        if any(self.border):
            maps = F.pad(maps, self.border)
        bias = None if self.bias is None else in_autocast_type(self.bias)
        convolved: Tensor = _Convolution.apply(
            in_autocast_type(maps), in_autocast_type(self.weight), bias, self.settings
        )
        return convolved


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]) -> Tensor:
        context.save_for_backward(weight)
        by_channel = maps.is_contiguous(memory_format=torch.channels_last)
        context.order = torch.channels_last if by_channel else torch.contiguous_format
        context.shape, context.settings = maps.shape, settings
        return torch.conv2d(maps, weight, bias, *settings)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), (gradient,) = context.saved_tensors, gradients
        stride, padding, dilation, groups = context.settings
        kind = gradient.dtype
        if kind == torch.bfloat16 and gradient.device.type == "cpu" and groups > 1 and max(stride) > 1:
            # oneDNN has no fast kernel for this one: it takes twenty times as long as in float32.
            gradient, weight = gradient.float(), weight.float()
        # Of the maps the shape and the order in memory count, not the values.
        maps = torch.empty(context.shape, dtype=gradient.dtype, device=gradient.device, memory_format=context.order)
        back: Tensor = torch.ops.aten.convolution_backward(
            gradient, maps, weight, None, stride, padding, dilation, False, (0, 0), groups, (True, False, False)
        )[0]
        return back.to(kind), None, None, None


def fold(net: nn.Module, run: Callable[[nn.Module, Tensor], Any], image_size: tuple[int, int]) -> nn.Module:
    """Returns a net that answers as a frozen one does within rounding, but faster; the net itself where none can.

    Batch norms go into the convolutions that they follow. All other modules are copied, and share their weights.

    Args:
        net: In evaluation mode; not changed.
        run: Runs such a net on normalised images (N, 3, H, W) and returns outputs (N, S).
        image_size: (height, width) of them; the folded net takes no others.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return net
    tensors = [*net.parameters(), *net.buffers()]
    place, kind = tensors[0].device, tensors[0].dtype
    copied = copy.deepcopy(net, {id(tensor): tensor for tensor in tensors})
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(place, kind)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(place.type, enabled=False):
        pairs, expected = _pairs(copied, lambda: run(copied, images))
        _replace(copied, pairs)
        error = (run(copied, images) - expected).abs().max()
    return copied if bool(error <= _TOLERANCE * expected.abs().max()) else net


_Pair = tuple[nn.Conv2d, nn.BatchNorm2d | None, tuple[int, int]]


def _pairs(net: nn.Module, run: Callable[[], Any]) -> tuple[list[_Pair], Any]:
    """Runs a net; returns each convolution with the norm behind it and the size of its maps, and the outputs."""
    runs: dict[nn.Conv2d, list[tuple[int, int]]] = {}
    norms: dict[nn.Conv2d, nn.BatchNorm2d] = {}
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the maps, so that no address is used twice

    def see_conv(conv: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs.setdefault(conv, []).append((inputs[0].shape[2], inputs[0].shape[3]))
        made[id(output)] = conv, output

    def see_norm(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in made:
            norms[made[id(inputs[0])][0]] = norm

    hooks = [module.register_forward_hook(see_conv) for module in net.modules() if _is_plain_conv(module)]
    hooks += [module.register_forward_pre_hook(see_norm) for module in net.modules() if _is_plain_norm(module)]
    try:
        outputs = run()
    finally:
        for hook in hooks:
            hook.remove()
    shared = [norm for norm, count in Counter(norms.values()).items() if count > 1]
    once = [(conv, norms.get(conv), sizes[0]) for conv, sizes in runs.items() if len(sizes) == 1]
    return [pair for pair in once if pair[1] not in shared], outputs


def _replace(net: nn.Module, pairs: list[_Pair]) -> None:
    """Puts frozen convolutions in the place of convolutions and norms."""
    names = {module: name for name, module in net.named_modules()}
    for conv, norm, size in pairs:
        net.set_submodule(names[conv], FrozenConv(conv, norm, size))
        if norm is not None:
            last: Any = norm  # timm has one with an activation
            net.set_submodule(names[norm], nn.Sequential(*([] if _is_bare(norm) else [last.drop, last.act])))
    activations: list[Any] = [module for module in net.modules() if getattr(module, "inplace", False)]
    for activation in activations:
        activation.inplace = False  # autograd would copy what is overwritten


def _is_plain_conv(module: nn.Module) -> bool:
    """Whether the weights are what a convolution multiplies with, which some subclasses standardise first."""
    is_same = type(module).__name__ == "Conv2dSame"
    plain = isinstance(module, nn.Conv2d) and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return plain and (is_same or type(module) is nn.Conv2d)


def _is_plain_norm(module: nn.Module) -> bool:
    is_known = _is_bare(module) or type(module).__name__ == "BatchNormAct2d"
    return is_known and isinstance(module, nn.BatchNorm2d) and module.running_var is not None


def _is_bare(norm: nn.Module) -> bool:
    return type(norm) is nn.BatchNorm2d


def _same_padding(conv: nn.Conv2d, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the rows and columns before, and after, that TensorFlow's padding "SAME" adds."""
    totals = [
        max(0, (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side)
        for side, stride, kernel, dilation in zip(size, conv.stride, conv.kernel_size, conv.dilation, strict=True)
    ]
    return (totals[0] // 2, totals[1] // 2), (totals[0] - totals[0] // 2, totals[1] - totals[1] // 2)


def in_autocast_type(values: Tensor) -> Tensor:
    """Returns values in autocast's type where that is on, as torch's own convolutions and products take them."""
    kind = values.device.type
    if (
        not torch.amp.is_autocast_available(kind)
        or not torch.is_autocast_enabled(kind)
        or values.dtype == torch.float64
    ):
        return values
    return values.to(torch.get_autocast_dtype(kind))
