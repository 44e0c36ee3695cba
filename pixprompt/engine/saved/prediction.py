"""From images of any form to labels with probabilities, through a saved prompt and its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...canvas import Pixels, decode, from_array, to_rgb
from ...core import EndpointError
from ...outputs.cascade import SavedCascade
from .saved_prompt import Page

if TYPE_CHECKING:
    from .student import Student

__all__ = ["Picture", "Prediction", "Shares", "predictions", "probabilities", "to_image"]

Picture: TypeAlias = Image.Image | npt.NDArray[np.uint8] | str | Path | bytes
"""A PIL image, a uint8 array (H, W), (H, W, 3) or (H, W, 4), a path, or the bytes of an image file."""
Shares: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """What is read off one image.

    Attributes:
        label: The likeliest class; of several, the first.
        probability: Its own, in [0, 1].
        probabilities: Class -> probability, in the order of the classes.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class Answering(Protocol):
    """What queries a model and reads its answers: `Deployed`."""

    @property
    def reader(self) -> Callable[[Any], Any]:
        """Answers (N, V * S) -> logits (N, K)."""
        ...

    @property
    def cascade(self) -> SavedCascade | None:
        """Which images are asked under the further pages; None for all."""
        ...

    @property
    def student(self) -> Student | None:
        """Answers first where it is sure; None for none."""
        ...

    def query_each(self, canvases: Pixels, /) -> tuple[Any, dict[int, str]]:
        """Prompted canvases -> answers, and which were refused and why."""
        ...


def to_image(picture: Picture) -> Image.Image:
    """Returns an upright RGB image.

    Raises:
        ImageError: It cannot be read.
        RangeError: An array is not uint8.
        ShapeError: An array has another shape.
    """
    if isinstance(picture, Image.Image):
        return to_rgb(picture)
    return from_array(picture) if isinstance(picture, np.ndarray) else decode(picture)


def probabilities(deployed: Answering, views: Sequence[Pixels], own: Pixels | None = None) -> Sequence[Shares | str]:
    """Queries a model about images under each view, where the student leaves doubt if there is one.

    Args:
        deployed: What queries it and reads its answers.
        views: Of each page of the prompt, prompted canvases (N, H, W, 3).
        own: Canvases of the student (N, H', W', 3); None where there is none.

    Returns:
        Of each image the probabilities of the classes, (K,), or why there are none.
    """
    if deployed.student is None or own is None:
        return _paid(deployed, views)
    shares, in_doubt = deployed.student.answer(own)
    labels: list[Shares | str] = list(shares)
    if in_doubt.any():
        for index, answer in zip(
            np.flatnonzero(in_doubt), _paid(deployed, [each[in_doubt] for each in views]), strict=True
        ):
            labels[index] = answer
    return labels


def _paid(deployed: Answering, views: Sequence[Pixels]) -> Sequence[Shares | str]:
    first, refused = deployed.query_each(views[0])
    rows = np.zeros((len(first), len(views) * first.shape[1]), np.float32)
    rows[:, : first.shape[1]] = first
    # There is no label without the first answer.
    further: npt.NDArray[np.bool_] = ~np.isnan(first).any(axis=1)
    if deployed.cascade is not None:
        further = deployed.cascade.in_doubt(first)
    chosen = np.flatnonzero(further)
    for place, prompted in enumerate(views[1:], 1):
        if len(chosen):
            outputs, reasons = deployed.query_each(prompted[chosen])
            rows[chosen, place * first.shape[1] : (place + 1) * first.shape[1]] = outputs
            refused |= {int(chosen[index]): reason for index, reason in reasons.items()}
    missing = np.asarray(np.isnan(rows).any(axis=1))
    logits = deployed.reader(np.where(missing[:, None], 0.0, rows).astype(np.float32)).astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return [refused.get(i, "left without an answer") if missing[i] else row for i, row in enumerate(shares)]


def predictions(
    deployed: Answering, pages: Sequence[Page], classes: Sequence[str], pictures: Sequence[Picture], chunk: int
) -> list[Prediction]:
    """Reads labels off images, `chunk` of them per call of the model.

    Raises:
        EndpointError: The model refused an image; what it answered before is in its ledger.
        ImageError: An image cannot be read; the model was queried about none of its chunk.
    """
    results = []
    for start in range(0, len(pictures), chunk):
        images = [to_image(picture) for picture in pictures[start : start + chunk]]
        views = [page.overlay(np.stack([page.canvas.make(image) for image in images])) for page in pages]
        own = None
        if deployed.student is not None:
            own = np.stack([deployed.student.canvas.make(image) for image in images])
        for index, shares in enumerate(probabilities(deployed, views, own), start):
            if isinstance(shares, str):
                raise EndpointError(f"image {index} has no answer: {shares}")
            best = int(shares.argmax())
            named = dict(zip(classes, shares.tolist(), strict=True))
            results.append(Prediction(classes[best], float(shares[best]), named))
    return results
