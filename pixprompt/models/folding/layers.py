"""Layers with fixed weights, in fewer passes over their inputs and with less held for the backward pass."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["FrozenAttention", "FrozenConv", "FrozenPatches", "in_autocast_type"]


class FrozenConv(nn.Module):
    """A convolution with fixed weights, the batch norm and activation behind it included.

    Gradients reach the maps alone. They need the weights and not the maps, which are therefore not held.

    Args:
        conv: With numeric zero padding, or timm's `Conv2dSame`.
        norm: Directly behind it, in evaluation mode; None for none.
        size: (height, width) of the maps that it will get.
        limits: Between which the results are clamped: (0, 6) for a ReLU6, (0, inf) for a ReLU; None for no activation.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d | None,
        size: tuple[int, int],
        limits: tuple[float, float] | None = None,
    ) -> None:
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
        self.settings, self.limits = (conv.stride, padding, conv.dilation, conv.groups), limits
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last), persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C', H', W'); under autocast in its type."""
        maps = in_autocast_type(maps)
        if any(self.border):
            maps = F.pad(maps, self.border)
        bias = None if self.bias is None else in_autocast_type(self.bias)
        return cast(Tensor, _Convolution.apply(maps, in_autocast_type(self.weight), bias, self.settings, self.limits))


_Limits = tuple[float, float] | None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...], limits: _Limits
    ) -> Tensor:
        by_channel = maps.is_contiguous(memory_format=torch.channels_last)
        context.order = torch.channels_last if by_channel else torch.contiguous_format
        context.shape, context.settings, context.limits = maps.shape, settings, limits
        outputs = _convolve(maps, weight, bias, settings, limits)
        context.save_for_backward(weight, *([] if limits is None else [outputs]))
        return outputs

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (weight, *outputs), (gradient,) = context.saved_tensors, gradients
        if outputs:
            gradient = torch.ops.aten.hardtanh_backward(gradient, outputs[0], *context.limits)
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
        return back.to(kind), None, None, None, None


def _convolve(maps: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...], limits: _Limits) -> Tensor:
    if limits is None:
        return torch.conv2d(maps, weight, bias, *settings)
    # oneDNN clamps what it has just computed, which is still in the cache. The operator is of torch's own compiler.
    has_mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    fused = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if has_mkldnn else None
    if fused is None or maps.device.type != "cpu" or maps.dtype == torch.float64:
        return torch.conv2d(maps, weight, bias, *settings).clamp_(*limits)
    stride, padding, dilation, groups = settings
    return cast(Tensor, fused(maps, weight, bias, padding, stride, dilation, groups, "hardtanh", limits, ""))


class FrozenPatches(nn.Module):
    """A convolution whose patches neither overlap nor leave a gap, as one product with each patch.

    Args:
        conv: With as large a stride as its kernel, without padding, dilation or groups.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.kernel = conv.kernel_size
        rows = conv.weight.detach().permute(0, 2, 3, 1).flatten(1)
        self.register_buffer("weight", rows.contiguous(), persistent=False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C', h, w), in channels-last order."""
        high, wide = self.kernel
        down, across = maps.shape[2] // high, maps.shape[3] // wide
        whole = maps.permute(0, 2, 3, 1)[:, : down * high, : across * wide]
        patches = whole.reshape(len(maps), down, high, across, wide, -1).transpose(2, 3).flatten(3)
        return F.linear(patches, self.weight, self.bias).permute(0, 3, 1, 2)


class FrozenAttention(nn.Module):
    """Self-attention of an `nn.MultiheadAttention`: one product for queries, keys and values, one for the output.

    The library's own copies its weights for every image where tokens come first, and in bf16 that is most of the time.

    Args:
        attention: With one width for queries, keys and values.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.batch_first, self.out = attention.num_heads, attention.batch_first, attention.out_proj
        self.weight, self.bias = attention.in_proj_weight, attention.in_proj_bias

    def forward(self, query: Tensor, *_: object, **__: object) -> tuple[Tensor, None]:
        """Tokens (N, T, D), or (T, N, D) where the library's own takes those -> the same, and no weights."""
        tokens = query if self.batch_first else query.transpose(0, 1)
        qkv = F.linear(tokens.contiguous(), self.weight, self.bias)
        kind = qkv.dtype
        if kind == torch.bfloat16 and qkv.device.type == "cpu":  # whose bf16 kernel takes twice as long
            qkv = qkv.float()
        queries, keys, values = qkv.view(*qkv.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        with torch.autocast(qkv.device.type, enabled=False):
            mixed = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        tokens = F.linear(mixed.to(kind), self.out.weight, self.out.bias)
        return tokens if self.batch_first else tokens.transpose(0, 1), None


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
