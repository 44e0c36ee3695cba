"""BlackVIP, with the settings of its paper (arXiv 2303.14773)."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import ConfigError
from ...settings import option
from ..method import Learning, Method, MethodSettings, register

__all__ = ["BlackVIPSettings"]


@dataclass(frozen=True)
class BlackVIPSettings(MethodSettings):
    """What describes an image to the coordinator."""

    family = "blackvip"
    encoder: str | None = option(None, "Local model whose answers describe an image.", paths=("open_clip:local-dir:",))
    encoder_weights: str | None = option(None, "Weights file of the encoder.", paths=("",))

    def check(self) -> None:
        """See `MethodSettings`."""
        if self.encoder is None:
            raise ConfigError(
                "method 'blackvip' describes each image with a local model: name one with --encoder (BlackVIP's is a "
                "self-supervised ViT-B; any classifier does)."
            )


register(
    Method(
        name="blackvip",
        line="BlackVIP: a prompt for each image, learned from answers (arXiv 2303.14773)",
        learning=Learning.ANSWERS,
        make="pixprompt.adapters.coordinator:make_coordinator",
        settings=BlackVIPSettings,
        per_image=True,
        answer_defaults={"optimizer": "spsa-gc", "fit": "resize"},
        idle=("basis_size", "surrogate"),
    )
)
