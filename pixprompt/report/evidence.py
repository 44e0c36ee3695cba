"""What a report shows of a run beyond its files: images, answers, saliency maps, t-SNE. Values only; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .sample import Sample

if TYPE_CHECKING:
    from ..core import Model
    from .saliency.maps import SaliencyMaps

__all__ = ["MAX_SHOWN", "Evidence", "Predictions", "ReportOptions"]

MAX_SHOWN = 6
"""Images of a run that a page shows."""


@dataclass(frozen=True)
class ReportOptions:
    """How much a report may query.

    Attributes:
        model: Instead of the run's own; a name or a model.
        weights: Weights file of a model given by name.
        images: Most test images to query, each without and with the prompt.
        queries: Most queries to spend in all; None sets no limit to local models and forbids all others.
        use_model: False queries nothing.
    """

    model: str | Model | None = None
    weights: str | None = None
    device: str = "auto"
    images: int = 300
    queries: int | None = None
    use_model: bool = True


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says about the images of the sample.

    Attributes:
        before: (n, K) softmax of the target logits without prompt, float64.
        after: (n, K) the same with the prompt.
        own_output: Whether the answers without prompt are read with the output transform of the run's first rung, and
            not with the one that was learned with the prompt.
    """

    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]
    own_output: bool


@dataclass(frozen=True)
class Evidence:
    """What could be had of a run beyond its files; None where it could not.

    Attributes:
        sample: Some images of the test split.
        shown: Positions in the sample of the few that are shown.
        predictions: Of the model.
        saliency: Maps without and with the prompt.
        points: t-SNE coordinates (n, 2) of the answers without and with the prompt.
        sources: Names of the model's outputs.
        queries: Images that the model was queried about for this report.
        skipped: "images", "model", "saliency" or "points" -> why it is not there.
    """

    sample: Sample | None = None
    shown: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    predictions: Predictions | None = None
    saliency: SaliencyMaps | None = None
    points: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    sources: tuple[str, ...] | None = None
    queries: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
