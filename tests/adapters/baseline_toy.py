"""Small models of every family for the baselines, with weights from a fixed generator, and what is checked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from open_clip.model import CLIP
from timm.layers import GroupNormAct
from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision.models import ResNet as VisionResNet
from torchvision.models.resnet import BasicBlock as VisionBlock

from pixprompt.adapters import make_white_box
from pixprompt.adapters.baselines.base import Baseline
from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.models import DualEncoder, TorchModel

CLASSES = ("a", "b", "c")
WIDTH, DEPTH, SIZE = 24, 3, 32
LAYER_METHODS = ("adapter", "lora", "adaptformer")
METHODS = (*LAYER_METHODS, "linear", "mlp", "partial", "full", "bias", "ssf", "side")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scattered(net: nn.Module, seed: int = 0) -> nn.Module:
    """Draws all weights and statistics again, far enough from their first values that every one of them matters."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            one = ("norm" in name or "ln_" in name or "bn" in name) and name.endswith("weight")
            spread = value[0].numel() ** -0.5 if value.ndim > 1 else 0.2
            value.copy_(torch.randn(value.shape, generator=generator) * spread + one)
        for name, value in net.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return net


def timm_vit(**options: Any) -> nn.Module:
    expected = {"depth": DEPTH, "num_heads": 2, "num_classes": 5, "init_values": 0.5, "proj_drop_rate": 0.3} | options
    return VisionTransformer(img_size=SIZE, patch_size=8, embed_dim=WIDTH, **expected)


def clip() -> nn.Module:
    vision = {"image_size": SIZE, "patch_size": 8, "width": WIDTH, "layers": DEPTH, "head_width": 12}
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1}
    return CLIP(10, vision, text)


NETS: dict[str, Callable[[], nn.Module]] = {
    "timm-vit": timm_vit,
    "clip": clip,
    "swin": lambda: SwinTransformer(
        img_size=SIZE, patch_size=2, window_size=4, embed_dim=8, depths=(1, 2), num_heads=(2, 2), num_classes=5
    ),
    "timm-resnet": lambda: ResNet(BasicBlock, (1, 1, 1, 2), num_classes=5, channels=(8, 8, 16, 24)),
    "convnext": lambda: ConvNeXt(num_classes=5, depths=(1, 1, 1, 2), dims=(8, 8, 16, 24)),
    "resnetv2": lambda: ResNetV2(
        (1, 1, 1, 2),
        channels=(16, 16, 32, 32),
        num_classes=5,
        stem_chs=8,
        norm_layer=partial(GroupNormAct, num_groups=1),
    ),
    "torchvision-resnet": lambda: VisionResNet(VisionBlock, [1, 1, 1, 1], num_classes=5),
}
VITS = ("timm-vit", "clip")


def model_of(name: str, *, owned: bool = True) -> TorchModel:
    net = scattered(NETS[name]())
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    if name == "clip":
        spec = ModelSpec("toy-clip", (SIZE, SIZE), 10, answer=AnswerKind.EMBEDDINGS)
        return DualEncoder(net, spec, mean=mean, std=std, tokenizer=lambda texts: torch.zeros(len(texts), 8).long())
    return TorchModel(net, ModelSpec(f"toy-{name}", (SIZE, SIZE), 5), mean=mean, std=std, owned=owned)


def pictures(count: int = 3, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=seeded(seed))


def make(name: str, model: TorchModel, **options: Any) -> Baseline:
    if name == "adaptformer":
        options = {"bottleneck": 6} | options
    adapter = make_white_box(name, model, CLASSES, **options, generator=seeded(7))
    assert isinstance(adapter, Baseline)
    return adapter


def sharpened(adapter: Baseline) -> Baseline:
    """With a last layer from N(0, 1): the first one may be so small that its logits hardly tell features apart."""
    with torch.no_grad():
        weight = adapter.head.last.weight
        weight.copy_(torch.randn(weight.shape, generator=seeded(3)))
    return adapter


def step(adapter: Baseline, count: int, *, lr: float = 0.1) -> None:
    """Some steps of SGD on fixed images; each learned tensor must have a gradient in each of them."""
    optimizer = torch.optim.SGD(adapter.parameters(), lr=lr)
    labels = torch.tensor([0, 1, 2])
    for number in range(count):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(adapter.outputs(pictures(), generator=seeded(number)), labels)
        torch.autograd.backward(loss)
        optimizer.step()


def trace(model: TorchModel) -> Iterator[object]:
    """Everything that a backbone must keep: bytes, memory, flags, hooks."""
    for name, value in model.net.state_dict(keep_vars=True).items():
        content = value.detach().contiguous().numpy().tobytes()
        yield name, hashlib.sha256(content).hexdigest(), value.data_ptr(), value.requires_grad, value.grad is None
    for name, module in model.net.named_modules():
        yield name, module.training, len(module._forward_hooks), len(module._forward_pre_hooks), type(module)
        yield tuple(module._parameters), tuple(module._buffers), tuple(module._modules)
