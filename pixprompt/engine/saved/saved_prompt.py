"""What deploying, scoring and predicting need of a saved prompt, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ...canvas import Canvas, Pixels
from ...core import ModelSpec
from ...prompt import Committee, Prompt
from ..config.train_config import TrainConfig

__all__ = ["Page", "SavedPrompt", "plain_canvas", "unprompted"]


class Page(Protocol):
    """One prompt for all images, or one for each: the canvas under it, and how it is laid on that."""

    @property
    def canvas(self) -> Canvas:
        """How an image becomes a canvas."""
        ...

    def overlay(self, canvases: Pixels, /) -> Pixels:
        """Lays the prompt on canvases (N, H, W, 3), uint8."""
        ...


class SavedPrompt(Protocol):
    """A prompt as it was saved: `Committee`, `PerImagePrompt`, or the empty `Prompt` of a white-box adapter."""

    @property
    def pages(self) -> Sequence[Page]:
        """Its prompts; each image is queried once under each."""
        ...

    @property
    def output(self) -> dict[str, Any]:
        """How answers become labels: {"kind", "classes", ...}."""
        ...

    @property
    def model(self) -> str:
        """Name of the model that it was learned for."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights file given with that name; empty where there was none."""
        ...

    @property
    def seed(self) -> int:
        """Of the run that learned it."""
        ...

    @property
    def num_params(self) -> int:
        """Learned parameters."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether it leaves every canvas as it is."""
        ...


def plain_canvas(prompt: SavedPrompt, spec: ModelSpec, config: TrainConfig | None) -> Canvas:
    """Returns the canvas that an image has without the prompt.

    Args:
        prompt: The first page decides.
        config: Of the run, where there is one.
    """
    own = prompt.pages[0].canvas
    if own.fit == "resize" and own.is_basic:
        return own
    data = None if config is None else config.data
    return Canvas.for_model(spec, crop_pct=data.crop if data else None, aspect=data.aspect if data else None)


def unprompted(prompt: SavedPrompt, canvas: Canvas) -> Committee:
    """Returns the empty prompt on a canvas, whose answers are read as those under another prompt."""
    empty = Prompt(np.zeros((*canvas.size, 4), np.uint8), canvas, "over", None, {"name": "none", "params": {}})
    return Committee((empty,), prompt.output, prompt.model, prompt.weights_sha256, prompt.seed)
