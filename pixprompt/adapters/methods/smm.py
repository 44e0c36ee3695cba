"""SMM, with the settings of its paper and public code (arXiv 2406.03150)."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import ADAPTER_FILE, Learning, Method, MethodSettings, register

__all__ = ["MaskSettings"]


@dataclass(frozen=True)
class MaskSettings(MethodSettings):
    """See `MaskedPrompt`."""

    family = "smm"
    layers: int | None = option(None, "Layers of its mask network: 5, as for ResNets, by default, or 6.", low=1)
    patch: int | None = option(None, "Side in pixels of the patches on which a mask is constant, 8 by default.", low=1)


register(
    Method(
        name="smm",
        line="SMM: one pattern times a mask that a small network makes of each image (arXiv 2406.03150)",
        learning=Learning.GRADIENTS_ALONE,
        make="pixprompt.adapters.pixel_prompts.masks:MaskedPrompt",
        settings=MaskSettings,
        file=ADAPTER_FILE,
        per_image=True,
        defaults={
            "template": "full",
            "blend": "add",
            "fit": "resize",
            "start": "flat",
            "output": "iterative",
            "optimizer": "adam",
            "lr": 0.01,
            "warmup": 0,
            "epochs": 200,
            "batch_size": 256,
            "augment": "crop",
        },
    )
)
