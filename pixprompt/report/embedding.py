"""Features or answers in the plane: t-SNE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..core import PixpromptError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FEWEST", "tsne", "tsne_settings"]

FEWEST = 12
"""Fewer points make no picture."""
_PERPLEXITY = 30.0


def tsne(features: Tensor, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Returns t-SNE coordinates (N, 2) of features (N, D), started from their principal components.

    Raises:
        PixpromptError: The features are too few or too much alike.

    Reference: van der Maaten and Hinton 2008, as scikit-learn has it.
    """
    from sklearn.manifold import TSNE  # slow to import, and for this alone

    points = features.double().numpy()
    if len(points) < FEWEST:
        raise PixpromptError(f"t-SNE needs at least {FEWEST} images, got {len(points)}.")
    if points.shape[1] < 2 or len(np.unique(points, axis=0)) < FEWEST:
        raise PixpromptError("the answers are too much alike for t-SNE.")
    centered = points - points.mean(axis=0)
    placed = TSNE(n_components=2, init="pca", random_state=seed, perplexity=_perplexity(len(points)))
    return np.asarray(placed.fit_transform(centered), dtype=np.float64)


def tsne_settings(num_points: int, *, seed: int = 0) -> str:
    """Says how `tsne` was made."""
    return f"t-SNE, perplexity {_perplexity(num_points):.3g}, started from principal components, seed {seed}"


def _perplexity(num_points: int) -> float:
    return min(_PERPLEXITY, (num_points - 1) / 3)
