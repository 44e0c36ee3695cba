"""The baselines of the VPT and SA²VP papers: other white-box methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...settings import option
from ..method import RECIPE, Grid, Method, MethodSettings, register

__all__ = ["AdaptFormerSettings", "BottleneckSettings", "LoRASettings", "MLPSettings", "PartialSettings"]


@dataclass(frozen=True)
class MLPSettings(MethodSettings):
    """See `MLPProbe`."""

    family = "mlp"
    layers: int | None = option(None, "Hidden layers.", low=1)


@dataclass(frozen=True)
class PartialSettings(MethodSettings):
    """See `Partial`."""

    family = "partial"
    layers: int | None = option(None, "Layers that are tuned, from the top.", low=1)


@dataclass(frozen=True)
class BottleneckSettings(MethodSettings):
    """See `BottleneckAdapter`."""

    family = "adapter"
    reduction: int | None = option(None, "The layer's width over the bottleneck's.", low=1)


@dataclass(frozen=True)
class LoRASettings(MethodSettings):
    """See `LoRA`."""

    family = "lora"
    rank: int | None = option(None, "Rank of the additions.", low=1)


@dataclass(frozen=True)
class AdaptFormerSettings(MethodSettings):
    """See `AdaptFormer`."""

    family = "adaptformer"
    bottleneck: int | None = option(None, "Width inside its adapters.", low=1)


def _baseline(name: str, line: str, place: str, defaults: Mapping[str, Any], **options: Any) -> None:
    make = f"pixprompt.adapters.baselines.{place}"
    register(Method(name, line, make=make, defaults={**RECIPE, **defaults}, **options))


_SGD = Grid("sgd")

_baseline("linear", "a linear classifier on frozen features", "probes:LinearProbe", {"optimizer": "sgd"}, grid=_SGD)
_baseline(
    "mlp",
    "a classifier with hidden layers on frozen features",
    "probes:MLPProbe",
    {"optimizer": "sgd"},
    settings=MLPSettings,
    grid=_SGD,
    least_batch=2,  # it has batch statistics
)
_baseline("partial", "the last layers, tuned", "partial:Partial", {"lr": 0.001}, settings=PartialSettings)
_baseline("full", "the whole backbone, tuned as a copy", "copies:Full", {"lr": 0.0003})
_baseline("bias", "BitFit: the biases of the backbone, tuned (arXiv 2106.10199)", "copies:Bias", {})
_baseline(
    "adapter",
    "a bottleneck after the MLP of each layer (arXiv 2005.00247)",
    "bottleneck:BottleneckAdapter",
    {},
    settings=BottleneckSettings,
)
_baseline(
    "side",
    "a small ConvNet of its own, blended into frozen features (arXiv 1912.13503)",
    "side:SideTuning",
    {"optimizer": "sgd", "lr": 0.01},
    grid=_SGD,
)
_baseline("lora", "low-rank additions to queries and values (arXiv 2106.09685)", "lora:LoRA", {}, settings=LoRASettings)
_baseline("ssf", "SSF: a scale and a shift after each operation of the backbone (arXiv 2210.08823)", "ssf:SSF", {})
_baseline(
    "adaptformer",
    "a bottleneck beside the MLP of each layer (arXiv 2205.13535)",
    "bottleneck:AdaptFormer",
    {},
    settings=AdaptFormerSettings,
)
