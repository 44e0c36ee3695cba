"""The settings that the SA²VP paper gives to each of its tasks.

Reference: arXiv 2312.10376, section 4.1; the values are those of its public code.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SA2VP_PRESETS"]

_COMMON: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "epochs": 100,
    "batch_size": 64,
    "warmup_epochs": 10,
}
_SLOW = {"lr": 5e-4}


def _task(bottleneck: int, gamma: float, **more: Any) -> dict[str, Any]:
    return {**_COMMON, "bottleneck": bottleneck, "gamma": gamma, **more}


SA2VP_PRESETS: dict[str, dict[str, Any]] = {
    "sa2vp-cub": _task(16, 0.1),
    "sa2vp-nabirds": _task(32, 0.1),
    "sa2vp-flowers": _task(8, 0.1),
    "sa2vp-dogs": _task(32, 0.1),
    "sa2vp-cars": _task(64, 1.5),
    "sa2vp-hta": _task(64, 0.1),
    "sa2vp-natural": _task(8, 0.1),
    "sa2vp-svhn": _task(16, 0.5),
    "sa2vp-pets": _task(8, 0.1, **_SLOW),
    "sa2vp-specialized": _task(16, 1.5),
    "sa2vp-resisc45": _task(16, 0.5),
    "sa2vp-structured": _task(32, 1.5),
    "sa2vp-clevr-count": _task(32, 1.5, **_SLOW),
    "sa2vp-dsprites-orientation": _task(16, 0.1),
    "sa2vp-smallnorb-elevation": _task(32, 0.5),
    "sa2vp-swin-natural": _task(8, 0.1, rank=8),
    "sa2vp-swin-specialized": _task(8, 0.5, rank=8),
    "sa2vp-swin-structured": _task(8, 1.5, rank=8),
}
"""Name -> settings: FGVC, HTA and VTAB-1k on a ViT, with the tasks that differ from their group; VTAB-1k on a Swin."""
