"""What CLIP's users would take instead of a prompt, with the settings of the papers."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import Method, MethodSettings, register

__all__ = ["TipAdapterSettings"]


@dataclass(frozen=True)
class TipAdapterSettings(MethodSettings):
    """See `TipAdapter`."""

    family = "tip-adapter"
    alpha: float | None = option(None, "Weight of the cache; by default chosen on validation images.", low=0)
    beta: float | None = option(None, "How sharply the cache is read; by default chosen on validation images.", low=0)


_TRAINED = {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01, "epochs": 20, "batch_size": 256, "warmup": 0}

for _name, _line, _defaults in (
    (
        "tip-adapter",
        "Tip-Adapter: a cache of the training images beside CLIP's texts (arXiv 2111.03930)",
        {"epochs": 0},
    ),
    ("tip-adapter-f", "Tip-Adapter-F: the same, its keys tuned (arXiv 2111.03930)", {}),
):
    register(
        Method(
            name=_name,
            line=_line,
            make="pixprompt.adapters.clip.tip_adapter:TipAdapter",
            settings=TipAdapterSettings,
            defaults={**_TRAINED, **_defaults},
        )
    )
