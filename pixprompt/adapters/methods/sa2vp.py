"""SA²VP-shallow and SA²VP-deep (arXiv 2312.10376).

The presets are the settings that the paper gives to each of its tasks: section 4.1; the values are those of its public
code. Theirs are the learning rates 0.001 and 0.0005, which `--search` tries with two others, whatever the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core import ConfigError
from ...settings import option
from ..method import RECIPE, Grid, Method, MethodSettings, register

__all__ = ["SA2VP_PRESETS", "SA2VPDeepSettings", "SA2VPSettings"]


@dataclass(frozen=True)
class SA2VPSettings(MethodSettings):
    """See `SA2VPOptions`."""

    family = "sa2vp"
    bottleneck: int | None = option(None, "Width inside its adapters; 0 leaves them out.", low=0)
    activation: str | None = option(None, "Activation inside its prompt adapters.", ("gelu", "relu"))
    rank: int | None = option(None, "Width of the stored maps; 0 for the backbone's own.", low=0)
    map_scale: int | None = option(None, "Factor by which the map of prompts is smaller than the image's.", low=1)
    window: int | None = option(
        None, "Tokens across that one sees of the other pathway: 1, 3, 5, ...; 0 for all.", low=0
    )
    gamma: float | None = option(None, "Weight of what one pathway gives to the other.", low=0)
    balance: float | None = option(
        None, "Share of the image pathway's loss, in (0, 1]; the other pathway has the rest.", low=0
    )
    dropout: float | None = option(
        None, "Share of values of prompts and their adapters that is dropped in training.", low=0, below=1
    )

    def check(self) -> None:
        """See `MethodSettings`."""
        if self.bottleneck == 0 and self.activation is not None:
            raise ConfigError("--activation is inside the prompt adapters, which --bottleneck 0 leaves out.")


@dataclass(frozen=True)
class SA2VPDeepSettings(SA2VPSettings):
    """See `SA2VPOptions`."""

    new_maps: str | None = option(
        None, "How new maps join: through the frozen layer, or as they are (equation 5).", ("through-layer", "direct")
    )


_COMMON: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "epochs": 100,
    "batch_size": 64,
    "warmup_epochs": 10,
}
_SLOW = {"lr": 5e-4}


def _task(bottleneck: int, gamma: float, **options: Any) -> dict[str, Any]:
    return {**_COMMON, "bottleneck": bottleneck, "gamma": gamma, **options}


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

for _name, _deep, _line in (
    ("sa2vp-shallow", False, "SA²VP: one map of prompts beside the image (arXiv 2312.10376)"),
    ("sa2vp-deep", True, "SA²VP: maps of prompts beside the image at three depths (arXiv 2312.10376)"),
):
    register(
        Method(
            name=_name,
            line=_line,
            make="pixprompt.adapters.sa2vp.make:sa2vp_of",
            arguments={"deep": _deep},
            settings=SA2VPDeepSettings if _deep else SA2VPSettings,
            defaults=RECIPE,
            presets=SA2VP_PRESETS,
            grid=Grid(rates=(0.01, 0.003, 0.001, 0.0003)),
        )
    )
