"""Answers in the plane: t-SNE by scikit-learn, where it is installed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..core import PixpromptError

__all__ = ["FEWEST", "embed"]

FEWEST = 12
"""Fewer points make no picture."""
_PERPLEXITY = 30.0


def embed(answers: Tensor, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Returns t-SNE coordinates (N, 2) of answers (N, S), started from their principal components.

    Raises:
        PixpromptError: scikit-learn is missing, or the answers are too few or too much alike.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise PixpromptError("t-SNE needs scikit-learn: pip install 'pixprompt[report]'.") from error
    points = answers.double().numpy()
    if len(points) < FEWEST:
        raise PixpromptError(f"t-SNE needs at least {FEWEST} images, got {len(points)}.")
    if points.shape[1] < 2 or len(np.unique(points, axis=0)) < FEWEST:
        raise PixpromptError("the answers are too much alike for t-SNE.")
    centred = points - points.mean(axis=0)
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    made = TSNE(n_components=2, init="pca", random_state=seed, perplexity=perplexity).fit_transform(centred)
    return np.asarray(made, dtype=np.float64)
