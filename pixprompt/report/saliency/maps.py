"""Saliency maps without and with a prompt: Grad-CAM where a model gives gradients, occlusion where it only answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...core import Access, ModelError, PixpromptError
from ...engine import Deployed, Reporter
from ...engine.answers import to_images
from ...models import TorchModel
from ...plots import Pixels
from ..plan import Plan, divide
from ..sample import Sample
from .gradcam import gradcam
from .occlusion import occlusion, occlusion_queries

__all__ = ["SaliencyMaps", "StateMaps", "make_saliency_maps"]

Maps = npt.NDArray[np.float32]
Scores = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


@dataclass(frozen=True, eq=False)
class StateMaps:
    """Maps of the same images in one state.

    Attributes:
        images: (m, H, W, 3) as the model sees them.
        heat: (m, h, w) in [0, 1].
        classes: (m,) the predicted class that is explained.
        probabilities: (m,) its probability.
        drops: (m,) the largest probability lost by one patch; None for gradients.
    """

    images: Pixels
    heat: Maps
    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    drops: npt.NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class SaliencyMaps:
    """Saliency maps without and with a prompt.

    Attributes:
        method: What the maps are, in a sentence.
        shown: (m,) positions in the sample.
        before: Without prompt.
        after: With the prompt.
        smooth: Whether the cells are samples of a field, or patches.
        queries: Images that the maps took.
    """

    method: str
    shown: npt.NDArray[np.int64]
    before: StateMaps
    after: StateMaps
    smooth: bool
    queries: int


def make_saliency_maps(
    deployed: Deployed,
    scores: Scores,
    sample: Sample,
    probabilities: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
    plan: Plan,
    reporter: Reporter,
) -> SaliencyMaps:
    """Makes maps for a few images.

    Args:
        scores: Before and after: images -> target logits, as read then; they count and limit the queries.
        probabilities: (n, K) of the sample, before and after.
        shown: Positions in the sample.
        plan: How many queries may be spent.

    Raises:
        PixpromptError: The queries do not suffice, or no map can be made.
    """
    model, reason = deployed.model.model, ""
    if deployed.model.access is Access.INTERNALS and isinstance(model, TorchModel) and plan.pairs:
        try:
            return _by_gradients(model, deployed.device, scores, sample, probabilities, shown)
        except ModelError as error:
            reason = f" Grad-CAM is not possible: {error}"
    pairs, grid = plan.pairs, plan.grid
    if grid == 0:
        pairs, grid = divide(None if plan.spare is None else plan.spare - 2 * len(shown), len(shown))
    if pairs == 0:
        raise PixpromptError(
            f"the queries allowed do not suffice for an occlusion map, which takes at least 32 per image.{reason}"
        )
    return _by_occlusion(deployed.device, scores, sample, probabilities, shown[:pairs], grid, reporter, reason)


def _by_gradients(
    model: TorchModel,
    device: str,
    scores: Scores,
    sample: Sample,
    probabilities: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
) -> SaliencyMaps:
    states, layer = [], ""
    for pixels, predicted, score in zip((sample.before, sample.after), probabilities, scores, strict=True):
        images = np.asarray(pixels[shown])
        top = predicted[torch.from_numpy(shown)].max(dim=1)
        saliency = gradcam(model.net, score, to_images(images, device), top.indices.to(device))
        layer = saliency.layer
        states.append(StateMaps(images, saliency.maps.numpy(), top.indices.numpy(), top.values.numpy(), None))
    method = (
        f"Grad-CAM at the layer “{layer}”: where the feature maps speak for the predicted class. "
        f"Each map is scaled by its own largest value. It took {2 * len(shown)} queries."
    )
    return SaliencyMaps(method, shown, states[0], states[1], smooth=True, queries=2 * len(shown))


def _by_occlusion(
    device: str,
    scores: Scores,
    sample: Sample,
    probabilities: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
    grid: int,
    reporter: Reporter,
    reason: str,
) -> SaliencyMaps:
    queries = 2 * occlusion_queries(len(shown), grid)
    reporter.stage("report: occlusion", queries)
    states = []
    for pixels, predicted, score in zip((sample.before, sample.after), probabilities, scores, strict=True):
        images = np.asarray(pixels[shown])
        part = predicted[torch.from_numpy(shown)]
        top = part.max(dim=1)
        losses = occlusion(score, to_images(images, device), part, top.indices, grid=grid)
        reporter.advance(queries // 2)
        drops = losses.amax(dim=(1, 2)).clamp_min(0)
        heat = torch.where(drops[:, None, None] > 0, losses.relu() / drops[:, None, None].clamp_min(1e-12), 0.0)
        states.append(StateMaps(images, heat.numpy(), top.indices.numpy(), top.values.numpy(), drops.double().numpy()))
    method = (
        f"Occlusion: each of {grid} × {grid} patches was greyed in turn; the map shows how much of the predicted "
        f"class's probability went with it, scaled by the largest loss of each picture. It took {queries} "
        f"queries.{reason}"
    )
    return SaliencyMaps(method, shown, states[0], states[1], smooth=False, queries=queries)
