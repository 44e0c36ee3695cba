"""What CLIP's users would take instead of a prompt, with the settings of the papers."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import Method, MethodSettings, register

__all__ = ["CoOpSettings", "TipAdapterSettings"]


@dataclass(frozen=True)
class TipAdapterSettings(MethodSettings):
    """See `TipAdapter`."""

    family = "tip-adapter"
    alpha: float | None = option(None, "Weight of the cache; by default chosen on validation images.", low=0)
    beta: float | None = option(None, "How sharply the cache is read; by default chosen on validation images.", low=0)


@dataclass(frozen=True)
class CoOpSettings(MethodSettings):
    """See `CoOp`."""

    family = "coop"
    context: int | None = option(None, "Vectors that are learned as words.", low=1)
    context_text: str | None = option(None, "Words that the vectors start as, one a token.")
    context_per_class: bool = option(False, "Learn separate vectors for each class.")
    class_place: str | None = option(None, "Where the class stands among the vectors.", ("end", "middle", "front"))


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
register(
    Method(
        name="coop",
        line="CoOp: learned words in front of each class, for CLIP's text side (arXiv 2109.01134)",
        make="pixprompt.adapters.clip.coop:CoOp",
        settings=CoOpSettings,
        defaults={
            "optimizer": "sgd",
            "lr": 0.002,
            "weight_decay": 5e-4,
            "epochs": 200,
            "batch_size": 32,
            "warmup_epochs": 1,
        },
    )
)
