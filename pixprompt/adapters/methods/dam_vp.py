"""DAM-VP, on the default recipe for a prompt (arXiv 2303.08138)."""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import ADAPTER_FILE, Learning, Method, MethodSettings, register
from .pixel import DEFAULTS

__all__ = ["ClusterSettings"]


@dataclass(frozen=True)
class ClusterSettings(MethodSettings):
    """See `ClusterPrompts`."""

    family = "dam-vp"
    prompts: int | None = option(None, "Clusters of training images, each with a prompt; 5 by default.", low=1)
    meta: str | None = option(None, "Prompt PNG, learned on other data, that every prompt starts from.", paths=("",))


register(
    Method(
        name="dam-vp",
        line="DAM-VP: clusters of the images, each with a prompt of its own (arXiv 2303.08138)",
        learning=Learning.GRADIENTS_ALONE,
        make="pixprompt.adapters.pixel_prompts.clusters:ClusterPrompts",
        settings=ClusterSettings,
        file=ADAPTER_FILE,
        per_image=True,
        defaults={**DEFAULTS, "epochs": 50},
    )
)
