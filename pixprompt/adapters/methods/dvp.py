"""DVP, with the settings of AttrVR, on which it stands (arXiv 2506.01000, 2501.13982)."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import Learning, Method, MethodSettings, register
from .pixel import ATTRVR

__all__ = ["EnsembleSettings"]


@dataclass(frozen=True)
class EnsembleSettings(MethodSettings):
    """See `PromptEnsemble`."""

    family = "dvp"
    prompts: int | None = option(None, "Prompts, and queries per image; 3 by default.", low=1)


register(
    Method(
        name="dvp",
        line="DVP: several prompts, each read by texts of its own, saved as one PNG (arXiv 2506.01000)",
        learning=Learning.GRADIENTS_ALONE,
        make="pixprompt.adapters.pixel_prompts.ensemble:PromptEnsemble",
        settings=EnsembleSettings,
        file="prompt.png",
        defaults={**ATTRVR, "output": "reweighted"},
    )
)
