"""AutoVP, with the settings of its public code for classifiers (arXiv 2310.08381)."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import Learning, Method, MethodSettings, register

__all__ = ["AutoVPSettings"]


@dataclass(frozen=True)
class AutoVPSettings(MethodSettings):
    """See `AutoVP`."""

    family = "autovp"
    scale: float | None = option(None, "First size of the image in 128 pixels of 224; 1 by default.", low=0.1)


register(
    Method(
        name="autovp",
        line="AutoVP: a frame around an image whose size is learned, saved as a PNG (arXiv 2310.08381)",
        learning=Learning.GRADIENTS_ALONE,
        make="pixprompt.adapters.pixel_prompts.autovp:AutoVP",
        settings=AutoVPSettings,
        file="prompt.png",
        defaults={
            "template": "full",
            "blend": "add",
            "fit": "resize",
            "start": "flat",
            "optimizer": "adam",
            "lr": 1e-3,
            "warmup": 0,
            "epochs": 200,
            "batch_size": 64,
        },
    )
)
