"""SA²VP of stages on small nets, and written down once more in the plainest way: image by image, token by token."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ConvNeXt as VisionConvNeXt, ResNet as VisionResNet
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock as VisionBlock

from pixprompt.adapters.sa2vp import SA2VPOptions
from pixprompt.adapters.sa2vp.convnet import ConvNetSA2VP
from pixprompt.adapters.sa2vp.stages import StagedSA2VP
from pixprompt.adapters.sa2vp.swin import SwinSA2VP
from pixprompt.core import ModelSpec
from pixprompt.models import TorchModel

from ..backbones.swin_toy import CLASSES, ODD, ONE, scatter, seeded, swin

SWINS = ("swin", "swin-odd")
CONVNETS = ("timm-resnet", "torchvision-resnet", "timm-convnext", "torchvision-convnext")
NETS = (*SWINS, *CONVNETS)
FEW = (*SWINS, "timm-resnet", "torchvision-convnext")
SIZE = (64, 48)


class Double(TorchModel):
    """In float64, so that rounding cannot hide or fake a difference."""

    def normalize(self, images: Tensor) -> Tensor:
        return super().normalize(images).to(next(self.net.parameters()).dtype)


class _Slim(VisionResNet):
    """An eighth as wide: the library offers no such option."""

    def _make_layer(self, block: type, planes: int, *rest: object, **options: object) -> nn.Sequential:
        return super()._make_layer(block, planes // 8, *rest, **options)


def conv_of(kind: str, depth: int) -> nn.Module:
    depths = (1, 1, depth, 1)
    if kind == "timm-resnet":
        return ResNet(BasicBlock, depths, num_classes=5, channels=(8, 8, 16, 24))
    if kind == "torchvision-resnet":
        slim = _Slim(VisionBlock, list(depths))
        slim.fc = nn.Linear(64, 5)
        return slim
    if kind == "timm-convnext":
        return ConvNeXt(num_classes=5, depths=depths, dims=(8, 8, 16, 24), ls_init_value=0.5)
    settings = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, depth), CNBlockConfig(24, None, 1)]
    return VisionConvNeXt(settings, layer_scale=0.5, num_classes=5)


def net_of(kind: str, depth: int) -> nn.Module:
    """Its third stage has `depth` blocks; the "swin" has two stages, the "torchvision-convnext" three, the second."""
    if kind == "swin":
        return swin(ONE, depths=(1, depth)).net
    if kind == "swin-odd":
        return swin(ODD, depths=(1, 1, depth, 1), embed_dim=8, num_heads=(1, 1, 2, 2)).net
    return scatter(conv_of(kind, depth))


def model_of(kind: str, depth: int = 4, *, size: tuple[int, int] = SIZE, owned: bool = True) -> TorchModel:
    size = (56, 56) if kind in SWINS else size
    net = net_of(kind, depth).train(not owned)
    return Double(net, ModelSpec(f"toy-{kind}", size, 5), mean=(0.5,) * 3, std=(0.2,) * 3, owned=owned)


def sa2vp(
    kind: str,
    *,
    depth: int = 4,
    size: tuple[int, int] = SIZE,
    owned: bool = True,
    lively: bool = True,
    double: bool = True,
    **options: object,
) -> StagedSA2VP:
    """With first numbers so large that everything matters, if `lively`."""
    model = model_of(kind, depth, size=size, owned=owned)
    expected = SA2VPOptions(**{"rank": 3, "bottleneck": 4} | options)
    family = SwinSA2VP if kind in SWINS else ConvNetSA2VP
    adapter = family(model, CLASSES, expected, generator=seeded()).eval()
    if double:
        model.net.double()
        adapter.double()
    if lively:
        enliven(adapter.named_parameters())
    return adapter


def enliven(learned: Iterable[tuple[str, Tensor]]) -> None:
    with torch.no_grad():
        for name, value in learned:
            value.copy_(torch.randn(value.shape, generator=seeded(len(name))) * 0.5)


def pictures(adapter: StagedSA2VP, count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, *adapter.model.spec.image_size, generator=seeded(seed))


def reference(adapter: StagedSA2VP, images: Tensor, asks: set[int], *, window: int | None = None) -> tuple[Tensor, ...]:
    """Features of both pathways; `asks` are the places where the prompts query the image."""
    alone = [_one(adapter, image[None], asks, window or adapter.options.window) for image in images]
    return tuple(torch.cat(part) for part in zip(*alone, strict=True))


def _one(adapter: StagedSA2VP, image: Tensor, asks: set[int], window: int) -> tuple[Tensor, Tensor]:
    view, options, is_swin = adapter.view, adapter.options, isinstance(adapter, SwinSA2VP)
    own = view.embed(image)
    prompts = placed(adapter.maps[0](), adapter.shapes[0], is_swin)
    deep = iter(zip(adapter.maps[1:], adapter.scalings, strict=True))
    for number, stage in enumerate(view.stages):
        own, prompts = stage.enter(own), stage.enter(prompts)
        for place, block in enumerate(stage.blocks):
            left, tokens = block(own), block(prompts)
            if number == adapter.stage_index:
                if place in asks:
                    exchanged = exchange(adapter, place, (prompts, tokens), (own, left), window)
                    if place > min(asks) and options.deep:
                        map_, scaling = next(deep)
                        joining = block(placed(map_(), adapter.shapes[-1], is_swin))
                        shape = (-1,) if is_swin else (-1, 1, 1)
                        tokens = tokens + joining * scaling.factors.view(shape)
                    tokens = tokens + options.gamma * exchanged
                else:
                    left = left + options.gamma * exchange(adapter, place, (own, left), (prompts, tokens), window)
            own, prompts = left, tokens
    return view.pool(own), view.pool(prompts)


def placed(map_: Tensor, shape: tuple[int, int, int], is_swin: bool) -> Tensor:
    tokens = map_.view(1, *shape)
    return tokens if is_swin else tokens.permute(0, 3, 1, 2)


def exchange(adapter, place: int, asking, query, window: int) -> Tensor:
    """Pairs of what enters and what leaves a block, as the backbone has them -> what is added, likewise."""
    block = adapter.layers[place].block
    if isinstance(adapter, SwinSA2VP):
        first, second = ([*block.per_head(block.qkv(block.norm1(pair[0])[0]))] for pair in (asking, query))
        tokens = asking[0][0]
        mixed = block.out(nearby(first[0], second[1], second[2], window))  # heads stand behind rows: (h, heads, w, d)
        return adapter.adapters[place](mixed + tokens)[None]
    rows, others = (pair[1][0].permute(1, 2, 0) for pair in (asking, query))
    queries, keys = (F.layer_norm(part, part.shape[-1:]).unsqueeze(1) for part in (rows, others))
    mixed = nearby(queries, keys, others.unsqueeze(1), window)
    return adapter.adapters[place](mixed + rows).permute(2, 0, 1)[None]


def nearby(queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
    """(h, heads, w, d) each -> (h, w, heads d): every query by itself; window 0 is the whole map."""
    (down, heads, across, length), source = queries.shape, (keys.shape[0], keys.shape[2])
    reach = window // 2 if window else 10**6
    result = queries.new_zeros(down, across, heads, length)
    for row in range(down):
        for column in range(across):
            top, left = row * source[0] // down, column * source[1] // across
            rows = slice(max(0, top - reach), top + reach + 1)
            columns = slice(max(0, left - reach), left + reach + 1)
            for head in range(heads):
                query = queries[row, head, column]
                keys_in_reach = keys[rows, head, columns].reshape(-1, length)
                weights = (keys_in_reach @ query / length**0.5).softmax(0)
                result[row, column, head] = weights @ values[rows, head, columns].reshape(-1, length)
    return result.flatten(2)
