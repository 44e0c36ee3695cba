"""LoR-VP, with the settings of its paper and public code (arXiv 2502.00896)."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import Learning, Method, MethodSettings, register

__all__ = ["LowRankSettings"]


@dataclass(frozen=True)
class LowRankSettings(MethodSettings):
    """See `LowRankPrompt`."""

    family = "lor-vp"
    rank: int | None = option(None, "Rank of the prompt, 4 by default.", low=1)


register(
    Method(
        name="lor-vp",
        line="LoR-VP: a low-rank prompt added to the whole image, saved as a PNG (arXiv 2502.00896)",
        learning=Learning.GRADIENTS_ALONE,
        make="pixprompt.adapters.pixel_prompts.low_rank:LowRankPrompt",
        settings=LowRankSettings,
        file="prompt.png",
        defaults={
            "template": "full",
            "blend": "add",
            "fit": "resize",
            "start": "flat",
            "output": "linear",
            "optimizer": "sgd",
            "lr": 0.02,
            "weight_decay": 1e-4,
            "warmup": 0,
            "epochs": 20,
            "batch_size": 256,
        },
    )
)
