"""A tiny task on disk with a tiny transformer, and an adapter with two pathways whose states are known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Generator, Tensor

from pixprompt.adapters.heads import ClassifierHead
from pixprompt.adapters.sa2vp import SA2VP, SA2VPOptions, States
from pixprompt.backbones import ViT
from pixprompt.models import TorchModel
from pixprompt.models.families.timm_ import wrap

from ..cli.toy import CLASSES, COUNTS, write_pictures

GRID = (4, 4)


def write_task(folder: Path) -> str:
    """Writes the images; returns what to type after --data."""
    for seed, (split, count) in enumerate(COUNTS.items()):
        write_pictures(folder / "images" / split, count, seed)
    return f"folder:{folder / 'images'}"


def tiny_model() -> TorchModel:
    net = VisionTransformer(img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, num_classes=6)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.copy_(0.25 * torch.randn(tensor.shape, generator=generator))
    net.default_cfg = net.pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return wrap(net, "tiny-vit")


class Paired(SA2VP):
    """Its prompts at layers 0 and 2 are the image's own tokens, moved by some places."""

    def __init__(self, model: TorchModel, *, shift: int = 0) -> None:
        super().__init__(model, CLASSES, SA2VPOptions())
        self.view, self.shift = ViT(model), shift
        self.head = ClassifierHead(self.view.width, len(CLASSES), generator=torch.Generator().manual_seed(3))

    def before(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.view.embed(images),)

    def features(
        self, parts: tuple[Tensor, ...], *, both: bool, generator: Generator | None = None
    ) -> tuple[Tensor, ...]:
        with self.model.held():
            (tokens,) = parts
            for layer in self.view.layers:
                tokens = layer(tokens)
            return (cast(Tensor, self.view.norm(tokens[:, 0])),)

    def states(self, images: Tensor) -> States:
        (tokens,) = self.frozen(images)
        patches = tokens[:, 1:]
        moved = patches.roll(self.shift, 1)
        return States((patches, 2 * patches), (moved, moved), ((GRID, GRID),) * 2, (0, 2))


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
