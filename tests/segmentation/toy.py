"""A tiny transformer that can be named, a generated set on disk, and runs of both."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from pixprompt.core import ModelSpec
from pixprompt.models import TorchModel
from pixprompt.segmentation import Design, SegmentConfig, Segmenter

SIZE, CLASSES = (32, 32), 5
FAST = {"channels": 8, "epochs": 3, "batch_size": 4, "tokens": 3, "val_images": 2, "device": "cpu", "precision": "fp32"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_net(seed: int = 0, **options: Any) -> VisionTransformer:
    """32x32 images, patches of 8, width 24, 3 layers."""
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 6}
    net = VisionTransformer(**{**sizes, **options})
    draws = generator(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            spread = 0.2 * torch.randn(value.shape, generator=draws)
            value.copy_(1 + spread if "norm" in name and name.endswith("weight") else spread)
    return net


def toy_segmentation_vit(pretrained: bool = False, **options: Any) -> VisionTransformer:
    expected = {name: value for name, value in options.items() if value is not None and "pretrained" not in name}
    net = toy_net(**expected)
    net.pretrained_cfg = {
        "input_size": (3, 32, 32),
        "mean": (0.5, 0.4, 0.3),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "classifier": "head",
    }
    return net


if not timm.is_model("toy_segmentation_vit"):
    register_model(toy_segmentation_vit)


def toy_model(seed: int = 0, **options: Any) -> TorchModel:
    spec = ModelSpec("toy", SIZE, 6)
    return TorchModel(toy_net(seed, **options), spec, mean=(0.5, 0.4, 0.3), std=(0.5,) * 3, owned=True)


def toy_segmenter(method: str = "vpt-deep", seed: int = 0, model: TorchModel | None = None, **design: Any) -> Segmenter:
    expected = Design(**{"num_classes": CLASSES, "crop": SIZE, "method": method, "tokens": 3, "channels": 8, **design})
    return Segmenter(model or toy_model(), expected, generator=generator(seed))


def toy_weights(folder: Path, seed: int = 0) -> Path:
    path = folder / f"weights{seed}.safetensors"
    save_file(toy_net(seed).state_dict(), path)
    return path


def shapes() -> ModuleType:
    """The generator of the experiment."""
    path = Path(__file__).parents[2] / "experiments" / "segmentation" / "shapes.py"
    spec = importlib.util.spec_from_file_location("segmentation_shapes", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_set(folder: Path, train: int = 8, test: int = 3, size: int = 48) -> Path:
    shapes().write(folder, train=train, test=test, size=size)
    return folder


def toy_config(folder: Path, **values: Any) -> SegmentConfig:
    """A quick run on the set in `folder`/set with the weights beside it, both made where they are missing."""
    if not (folder / "set").exists():
        write_set(folder / "set")
        toy_weights(folder)
    where = {"model": "timm:toy_segmentation_vit", "weights": str(folder / "weights0.safetensors")}
    return SegmentConfig(**{**where, "data": f"ade20k:{folder / 'set'}", **FAST, **values})


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    """The result without its clocks."""
    clocks = ("seconds", "train_images_per_second", "peak_memory_mb")
    return {name: value for name, value in result.items() if name not in clocks}
