"""Vision transformers that take milliseconds, of every kind that can be opened, with weights that all matter."""

from __future__ import annotations

import functools
from pathlib import Path

import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.models import DualEncoder, TorchModel, load_model

CLASSES = ("a", "b", "c")
WIDTH, DEPTH, PATCHES = 24, 3, 4
KINDS = ("timm", "registers", "pooled", "clip", "clip-timm")
_SIZES = {"img_size": 32, "patch_size": 16, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2}
_TEXT = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 2, "layers": 1}
_KINDS = {
    "timm": {"drop_rate": 0.5, "drop_path_rate": 0.5, "attn_drop_rate": 0.5},
    "registers": {"reg_tokens": 2, "no_embed_class": True, "init_values": 0.1, "qk_norm": True, "pre_norm": True},
    "pooled": {"global_pool": "avg", "fc_norm": True},
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scatter(net: nn.Module, seed: int = 0) -> nn.Module:
    """Draws all weights again: norms around 1, the rest around 0."""
    generator = seeded(seed)
    norms = {id(module.weight) for module in net.modules() if isinstance(module, nn.LayerNorm)}
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2 + (id(value) in norms))
    return net


def timm_net(**options: object) -> nn.Module:
    return scatter(VisionTransformer(num_classes=5, **_SIZES | options))


def vit(kind: str = "timm", *, owned: bool = True, img_size: int = 32, **options: object) -> TorchModel:
    if kind in _KINDS:
        spec = ModelSpec(f"toy-{kind}", (img_size, img_size), 5)
        net = timm_net(**_KINDS[kind] | {"img_size": img_size} | options)
        return TorchModel(net, spec, mean=(0.5,) * 3, std=(0.2,) * 3, owned=owned)
    vision = {"image_size": 32, "patch_size": 16, "width": WIDTH, "layers": DEPTH, "head_width": 12}
    net = CLIP(6, vision_cfg=vision, text_cfg=_TEXT) if kind == "clip" else _clip_timm()
    spec = ModelSpec(f"toy-{kind}", (32, 32), 6, answer=AnswerKind.EMBEDDINGS)
    return DualEncoder(scatter(net), spec, mean=(0.5,) * 3, std=(0.2,) * 3, tokenizer=_tokens)


def _clip_timm() -> nn.Module:
    vision = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear"}
    net = CustomTextCLIP(6, vision_cfg=vision, text_cfg=_TEXT)
    net.visual.trunk = VisionTransformer(num_classes=0, **_SIZES)
    net.visual.head = nn.Sequential(nn.Linear(WIDTH, 6, bias=False))
    return net


def _tokens(texts: list[str]) -> Tensor:
    return torch.zeros(len(texts), 4, dtype=torch.long)


def real(name: str, assets: Path) -> TorchModel:
    """The ViT-Ti/16 itself, or as the image tower of the small CLIP."""
    if name == "mini-clip":
        return load_model(f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}")
    return load_model(name, weights=assets / "weights/vit_tiny_patch16_224.safetensors")


@functools.cache
def vit_b() -> TorchModel:
    """A ViT-B/16 without memory, to count on."""
    with torch.device("meta"):
        net = timm.create_model("vit_base_patch16_224")
    return TorchModel(net, ModelSpec("vit-b", (224, 224), 1000), owned=True)


def pictures(count: int = 4, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=seeded(seed))


def library_features(model: TorchModel, images: Tensor) -> Tensor:
    """What the library itself computes: final tokens behind the final norm, CLS first, (N, T, D)."""
    visual = model.net.visual if isinstance(model, DualEncoder) else model.net
    normalized = model.normalize(images)
    if isinstance(visual, VisionTransformer):
        tokens = visual.forward_features(normalized)
        return visual.fc_norm(tokens)
    if type(visual).__name__ == "TimmModel":
        return visual.trunk.forward_features(normalized)
    return visual.ln_post(visual.transformer(visual._embeds(normalized)))
