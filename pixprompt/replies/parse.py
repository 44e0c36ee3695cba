"""What callables return, in the three forms that an answer to one image can have: scores, named scores, a text."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from ..core import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Reply", "Scores", "describe", "one_reply", "replies"]

Scores: TypeAlias = npt.NDArray[np.float64]
Reply: TypeAlias = Scores | dict[str, float] | str
"""Scores (S,); label -> score; or words."""
_EXPECTED = "a list or array of two or more scores, a dictionary of label to score, a list of (label, score), or a text"


def replies(returned: object, num_images: int, name: str) -> list[Reply]:
    """Reads what a callable returned for a batch.

    Args:
        returned: An array or nested list (N, S); or a list of N answers; for one image (S,) will do.
        num_images: N.

    Raises:
        ModelError: It is something else; the message says what.
    """
    items = _items(returned, name)
    if num_images == 1 and items and all(isinstance(item, int | float | np.number) for item in items):
        items = [items]
    if items is None or len(items) != num_images:
        raise ModelError(
            f"model {name!r} returned {describe(returned)} for {num_images} images, expected a list or array of "
            f"{num_images}: one answer each."
        )
    return [one_reply(item, name) for item in items]


def one_reply(returned: object, name: str) -> Reply:
    """Reads what a callable returned for one image; labels that come twice add up.

    Raises:
        ModelError: It is none of the three forms, or a number in it is not finite.
    """
    if isinstance(returned, str):
        return str(returned)
    named = _named(returned)
    if named is not None:
        if not all(np.isfinite(score) for score in named.values()):
            raise ModelError(f"model {name!r} returned {describe(returned)} with NaN or infinity.")
        return named
    scores = _array(returned, name)
    if scores.ndim == 2 and len(scores) == 1:
        scores = scores[0]
    if scores.ndim != 1 or scores.dtype.kind not in "fiu" or len(scores) < 2:
        raise ModelError(f"model {name!r} returned {describe(returned)} for one image, expected {_EXPECTED}.")
    if not np.isfinite(scores).all():
        raise ModelError(f"model {name!r} returned {describe(returned)} with NaN or infinity.")
    return scores.astype(np.float64)


def describe(returned: object) -> str:
    """Says what came, shortly, for messages."""
    kind = type(returned).__name__
    if isinstance(returned, np.ndarray) or _is_tensor(returned):
        return f"{kind} {tuple(returned.shape)}"
    text = repr(returned)
    return f"{kind} {text if len(text) <= 60 else text[:57] + '...'}"


def _named(returned: object) -> dict[str, float] | None:
    """Returns label -> score of a dictionary or a list of pairs; None where it is neither."""
    if isinstance(returned, Mapping) and "label" not in returned:
        pairs = list(returned.items())
    elif isinstance(returned, Mapping):
        pairs = [_pair(returned)]
    elif isinstance(returned, list | tuple):
        pairs = [_pair(item) for item in returned]
    else:
        return None
    scores: dict[str, float] = {}
    for label, score in pairs:
        if not isinstance(label, str) or not (isinstance(score, int | float | np.number) or _is_tensor(score)):
            return None
        scores[label] = scores.get(label, 0.0) + float(score)
    return scores


def _pair(item: object) -> tuple[object, object]:
    if isinstance(item, Mapping):
        return item.get("label"), item.get("score")
    return (item[0], item[1]) if isinstance(item, list | tuple) and len(item) == 2 else (None, None)


def _items(returned: object, name: str) -> list[object] | None:
    if isinstance(returned, list | tuple):
        return list(returned)
    array = None if isinstance(returned, str | Mapping) else _array(returned, name)
    return None if array is None or array.ndim == 0 else list(array)


def _array(returned: object, name: str) -> npt.NDArray[np.generic]:
    if _is_tensor(returned):
        return np.asarray(returned.detach().cpu().double().numpy())
    try:
        return np.asarray(returned)
    except (TypeError, ValueError) as error:  # ragged lists
        raise ModelError(f"model {name!r} returned {describe(returned)}, expected {_EXPECTED}.") from error


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    """Says so without importing torch: where it is not loaded, nothing is a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
