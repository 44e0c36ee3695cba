"""Folding: a copy of a frozen net that answers the same, in fewer passes and with less held for the backward pass."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .first_token import FirstToken
from .layers import FrozenAttention, FrozenConv, FrozenPatches

__all__ = ["fold"]

_LIMITS: dict[type[Any], tuple[float, float]] = {nn.ReLU: (0.0, math.inf), nn.ReLU6: (0.0, 6.0)}
"""Activations that clamp."""
_TOLERANCE = 1e-4
"""Largest difference of a folded net's outputs, as a share of the largest output; rounding makes 1e-6."""


def fold(net: nn.Module, run: Callable[[nn.Module, Tensor], Any], image_size: tuple[int, int]) -> nn.Module:
    """Returns a net that answers as a frozen one does within rounding, but faster; the net itself where none can.

    Batch norms and ReLUs go into the convolutions that they follow; `frozen_layers` take the places of the library's
    own; the last layer of a transformer whose first token alone is read computes no other. All other modules are
    copied, and share their weights.

    Args:
        net: In evaluation mode; not changed.
        run: Runs such a net on normalised images (N, 3, H, W) and returns outputs (N, S).
        image_size: (height, width) of them; the folded net takes no others.
    """
    tensors = [*net.parameters(), *net.buffers()]
    if not tensors:
        return net
    place, kind = tensors[0].device, tensors[0].dtype
    copied = copy.deepcopy(net, {id(tensor): tensor for tensor in tensors})
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(place, kind)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(place.type, enabled=False):
        uses = _Uses(copied)
        expected = uses.seen_in(lambda: run(copied, images))
        if not uses.replace():
            return net

        def is_equal() -> bool:
            return bool((run(copied, images) - expected).abs().max() <= _TOLERANCE * expected.abs().max())

        if not is_equal():
            return net
        uses.shorten(is_equal)
    return copied


class _Maps(NamedTuple):
    """What made maps, and how often they had been written to then; they are held, so that no address is used twice."""

    conv: nn.Conv2d | None
    norm: nn.Module | None
    maps: Tensor
    version: int


class _Uses:
    """How the modules of a net are used in one run, and what can therefore take their places.

    Args:
        net: Changed by `replace`.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.convs: dict[nn.Conv2d, list[tuple[int, int]]] = {}
        self.norms: dict[nn.Module, list[nn.Conv2d | None]] = {}
        self.activations: dict[nn.Module, list[tuple[nn.Conv2d | None, nn.Module | None]]] = {}
        self.attentions: dict[nn.MultiheadAttention, bool] = {}
        self.layers: list[nn.Module] = []
        self._made: dict[int, _Maps] = {}

    def seen_in(self, run: Callable[[], Any]) -> Any:
        """Watches a run, and returns its outputs."""
        hooks = []
        for module in self.net.modules():
            if _is_plain_conv(module):
                hooks.append(module.register_forward_hook(self._see_conv))
            elif _is_plain_norm(module):
                hooks.append(module.register_forward_hook(self._see_norm))
            elif type(module) in _LIMITS:
                hooks.append(module.register_forward_pre_hook(self._see_activation))
            elif type(module) is nn.MultiheadAttention:
                hooks.append(module.register_forward_pre_hook(self._see_attention, with_kwargs=True))
            elif FirstToken.is_layer(module):
                hooks.append(module.register_forward_pre_hook(lambda layer, _: self.layers.append(layer)))
        try:
            return run()
        finally:
            self._made.clear()
            for hook in hooks:
                hook.remove()

    def replace(self) -> bool:
        """Puts frozen layers in the places of the library's own; returns whether there are any."""
        norms = {convs[0]: norm for norm, convs in self.norms.items() if len(convs) == 1}
        activations = {origins[0]: module for module, origins in self.activations.items() if len(origins) == 1}
        new: dict[nn.Module, nn.Module] = {}
        for conv, sizes in self.convs.items():
            norm: Any = norms.get(conv)
            if len(sizes) > 1:
                continue
            if norm is None and _is_patches(conv):
                new[conv] = FrozenPatches(conv)
                continue
            after = [] if norm is None or _is_bare(norm) else [norm.drop, norm.act]  # timm's norm with an activation
            activation = after[-1] if after else activations.get((conv, norm))
            limits = _LIMITS.get(type(activation))
            new[conv] = FrozenConv(conv, norm, sizes[0], limits)
            if norm is not None:
                new[norm] = nn.Sequential(*(after if limits is None else after[:-1]))
            if activation is not None and limits is not None and not after:
                new[activation] = nn.Sequential()
        new |= {module: FrozenAttention(module) for module, is_plain in self.attentions.items() if is_plain}
        names = {module: name for name, module in self.net.named_modules()}
        for module, layer in new.items():
            self.net.set_submodule(names[module], layer)
        in_place: list[Any] = [module for module in self.net.modules() if getattr(module, "inplace", False)]
        for module in in_place:
            module.inplace = False  # autograd would copy what is overwritten
        return bool(new)

    def shorten(self, is_equal: Callable[[], bool]) -> None:
        """Has the last layer of a transformer compute its first token alone, where the net is equal then."""
        last = self.layers[-1] if self.layers else None
        if last is None or not FirstToken.fits(last) or self.layers.count(last) > 1:
            return
        name = next(name for name, module in self.net.named_modules() if module is last)
        self.net.set_submodule(name, FirstToken(last))
        try:
            reads_others = not is_equal()
        except (IndexError, RuntimeError, ValueError):  # it looks for tokens that are not there
            reads_others = True
        if reads_others:
            self.net.set_submodule(name, last)

    def _see_conv(self, conv: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.convs.setdefault(conv, []).append((inputs[0].shape[2], inputs[0].shape[3]))
        self._made[id(output)] = _Maps(conv, None, output, output._version)

    def _see_norm(self, norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        conv, last = self._origin(inputs[0])
        self.norms.setdefault(norm, []).append(conv if last is None else None)
        self._made[id(output)] = _Maps(conv, norm, output, output._version)

    def _see_activation(self, activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.activations.setdefault(activation, []).append(self._origin(inputs[0]))

    def _origin(self, maps: Tensor) -> tuple[nn.Conv2d | None, nn.Module | None]:
        made = self._made.get(id(maps))
        return (None, None) if made is None or made.version != maps._version else (made.conv, made.norm)

    def _see_attention(self, attention: Any, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> None:
        """Notes whether all calls are of one sequence with itself, without masks and weights."""
        plain_call = (
            len(inputs) == 3 and inputs[0] is inputs[1] is inputs[2] and options.pop("need_weights", True) is False
        )
        no_mask = all(value is None or value is False for value in options.values())
        own = attention.in_proj_weight is not None and attention.bias_k is None and not attention.add_zero_attn
        known = self.attentions.get(attention, True)
        self.attentions[attention] = known and plain_call and no_mask and own


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


def _is_patches(conv: nn.Conv2d) -> bool:
    """Whether the patches of a convolution neither overlap nor leave a gap, nor are single pixels."""
    whole = conv.kernel_size == conv.stride and conv.kernel_size != (1, 1)
    return whole and conv.padding == (0, 0) and conv.dilation == (1, 1) and conv.groups == 1
