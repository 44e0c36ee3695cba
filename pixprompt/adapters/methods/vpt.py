"""VPT-shallow and VPT-deep (arXiv 2203.12119).

The defaults are this tool's (experiments/vpt): prompts move by AdamW, since by SGD whole runs collapsed at rates that
others needed. `--search` tries the paper's SGD.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...settings import option
from ..method import RECIPE, Grid, Method, MethodSettings, register

__all__ = ["E2VPTSettings", "EXPRESSettings", "VPTDeepSettings", "VPTSettings"]


@dataclass(frozen=True)
class _TokenSettings(MethodSettings):
    tokens: int | None = option(None, "Prompt tokens per layer; on a ConvNet, pixels on each side.", low=1)
    dropout: float | None = option(
        None, "Share of values of prompts and their adapters that is dropped in training.", low=0, below=1
    )


@dataclass(frozen=True)
class VPTSettings(_TokenSettings):
    """See `VPTOptions`."""

    family = "vpt"
    location: str | None = option(
        None,
        "Where the prompts go.",
        ("prepend", "add", "add-one", "prepend-pixel", "concat-channel", "padding"),
    )
    pool: str | None = option(
        None, "Which final tokens the head reads.", ("cls", "image", "image-and-prompt", "prompt")
    )
    projection: int | None = option(None, "Width of the prompts before a learned projection.", low=1)
    layout: str | None = option(
        None, "On a Swin: each image's own prompts, or the mixed ones of the public code.", ("image", "legacy")
    )


@dataclass(frozen=True)
class VPTDeepSettings(VPTSettings):
    """See `VPTOptions`."""

    depth: int | None = option(None, "Layers with prompts of their own.", low=1)
    depth_from: str | None = option(None, "Where those layers are counted from.", ("bottom", "top"))
    shared: bool = option(False, "Use one set of prompts for all layers.")


@dataclass(frozen=True)
class E2VPTSettings(_TokenSettings):
    """See `E2VPT`."""

    family = "e2vpt"
    key_values: int | None = option(None, "Prompts among the keys and values of each layer.", low=1)
    separate: bool = option(False, "Learn prompts of their own for keys and for values.")
    prune_tokens: float | None = option(
        None, "Share of the tokens that a second training does without.", low=0, below=1
    )
    prune_segments: float | None = option(
        None, "Share of a token's segments that a second training does without.", low=0, below=1
    )
    segments: int | None = option(None, "Segments of a token.", low=1)


@dataclass(frozen=True)
class EXPRESSettings(_TokenSettings):
    """See `EXPRES`."""

    family = "expres"


register(
    Method(
        name="vpt-shallow",
        line="VPT: learned tokens at the first layer of a transformer (arXiv 2203.12119)",
        make="pixprompt.adapters.vpt.make:vpt_of",
        arguments={"deep": False},
        settings=VPTSettings,
        defaults=RECIPE,
        grid=Grid("sgd"),
    )
)
register(
    Method(
        name="vpt-deep",
        line="VPT: learned tokens at every layer of a transformer (arXiv 2203.12119)",
        make="pixprompt.adapters.vpt.make:vpt_of",
        arguments={"deep": True},
        settings=VPTDeepSettings,
        defaults={**RECIPE, "lr": 0.01},
        grid=Grid("sgd"),
    )
)
register(
    Method(
        name="e2vpt",
        line="E²VPT: VPT-deep with prompts among keys and values, and with pruning (arXiv 2307.13770)",
        make="pixprompt.adapters.vpt.e2vpt:E2VPT",
        settings=E2VPTSettings,
        defaults={**RECIPE, "lr": 0.01},
        grid=Grid("sgd"),
    )
)
register(
    Method(
        name="expres",
        line="EXPRES: output tokens with residual prompts inside every layer (arXiv 2303.15591)",
        make="pixprompt.adapters.vpt.expres:EXPRES",
        settings=EXPRESSettings,
        defaults=RECIPE,
        grid=Grid("sgd"),
    )
)
