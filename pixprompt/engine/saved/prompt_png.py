"""The prompt file of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...canvas import Canvas
from ...core import OutputTransform
from ...prompt import Prompt
from ...version import __version__
from ..parts import Parts
from ..result import Score

__all__ = ["empty_prompt", "metrics_of", "origin_of"]


def empty_prompt(canvas: Canvas, output: OutputTransform, *, num_params: int = 0, **origin: Any) -> Prompt:
    """Returns the prompt that changes nothing, with an output transform of its own; see `origin_of` for the origin."""
    return Prompt(
        rgba=np.zeros((*canvas.size, 4), np.uint8),
        canvas=canvas,
        blend="over",
        delta_scale=None,
        template={"name": "none", "params": {}, "num_params": num_params},
        output=output.to_json(),
        **origin,
    )


def origin_of(parts: Parts) -> dict[str, Any]:
    """Returns what a prompt file says of the run that made it."""
    return {
        "model": parts.spec.name,
        "weights_sha256": parts.weights_sha256,
        "seed": parts.config.seed,
        "version": __version__,
    }


def metrics_of(rungs: Mapping[str, Score | None]) -> dict[str, Any]:
    """Returns the accuracies of the ladder, as the prompt file holds them."""
    return {name: {"val": rung.val, "test": rung.test} for name, rung in rungs.items() if rung is not None}
