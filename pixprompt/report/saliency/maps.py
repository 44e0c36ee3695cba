"""Where a model looks, before and after: by gradients where it gives them, by occlusion where it only answers."""

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
from ..plan import Plan, plan_queries
from ..sample import Sample
from .gradcam import gradcam
from .occlusion import occlusion, occlusion_queries

__all__ = ["Gaze", "Look", "look"]

Maps = npt.NDArray[np.float32]
Scores = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Look:
    """Maps for the same images in one state.

    Attributes:
        images: (m, H, W, 3) as the model saw them.
        heat: (m, h, w) in [0, 1].
        classes: (m,) the predicted class that is explained.
        shares: (m,) its share.
        drops: (m,) the largest share lost by one patch; None for gradients.
    """

    images: Pixels
    heat: Maps
    classes: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    drops: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Gaze:
    """Where the model looks.

    Attributes:
        how: What the maps are, in a sentence.
        shown: (m,) positions in the sample.
        before: Without prompt.
        after: With it.
        smooth: Whether the cells are samples of a field, or patches.
        queries: What it cost.
    """

    how: str
    shown: npt.NDArray[np.int64]
    before: Look
    after: Look
    smooth: bool
    queries: int


def look(
    deployed: Deployed,
    scores: Scores,
    sample: Sample,
    shares: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
    plan: Plan,
    reporter: Reporter,
) -> Gaze:
    """Makes maps for a few images.

    Args:
        deployed: The prompt with its model.
        scores: Before and after: images -> target logits, as read then; they count and limit what is asked.
        sample: The images.
        shares: (n, K) of the sample, before and after.
        shown: Positions in the sample.
        plan: What may be asked.
        reporter: Hears about progress.

    Raises:
        PixpromptError: The queries do not suffice, or no map can be made.
    """
    model, reason = deployed.model.model, ""
    if deployed.model.access is Access.INTERNALS and isinstance(model, TorchModel) and plan.pairs:
        try:
            return _by_gradients(model, deployed.device, scores, sample, shares, shown)
        except ModelError as error:
            reason = f" Grad-CAM is not possible: {error}"
    again = plan
    if plan.grid == 0:
        left = None if plan.spare is None else max(0, plan.spare - 2 * len(shown))
        again = plan_queries(0, left, by_gradient=False) or Plan(0, 0, 0)
    chosen = shown[: again.pairs]
    if again.grid == 0 or len(chosen) == 0:
        raise PixpromptError(
            f"the queries allowed do not suffice for an occlusion map, which takes at least 32 per image.{reason}"
        )
    return _by_occlusion(deployed.device, scores, sample, shares, chosen, again.grid, reporter, reason)


def _by_gradients(
    model: TorchModel,
    device: str,
    scores: Scores,
    sample: Sample,
    shares: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
) -> Gaze:
    looks, layer = [], ""
    for pixels, known, score in zip((sample.before, sample.after), shares, scores, strict=True):
        images = np.asarray(pixels[shown])
        top = known[torch.from_numpy(shown)].max(dim=1)
        saliency = gradcam(model.net, score, to_images(images, device), top.indices.to(device))
        layer = saliency.layer
        looks.append(Look(images, saliency.maps.numpy(), top.indices.numpy(), top.values.numpy(), None))
    how = (
        f"Grad-CAM at the layer “{layer}”: where the feature maps speak for the predicted class, bright yellow the "
        f"strongest place of each picture. It took {2 * len(shown)} queries."
    )
    return Gaze(how, shown, looks[0], looks[1], smooth=True, queries=2 * len(shown))


def _by_occlusion(
    device: str,
    scores: Scores,
    sample: Sample,
    shares: tuple[Tensor, Tensor],
    shown: npt.NDArray[np.int64],
    grid: int,
    reporter: Reporter,
    reason: str,
) -> Gaze:
    queries = 2 * occlusion_queries(len(shown), grid)
    reporter.stage("report: occlusion", queries)
    looks = []
    for pixels, known, score in zip((sample.before, sample.after), shares, scores, strict=True):
        images = np.asarray(pixels[shown])
        part = known[torch.from_numpy(shown)]
        top = part.max(dim=1)
        lost = occlusion(score, to_images(images, device), part, top.indices, grid=grid)
        reporter.advance(queries // 2)
        drops = lost.amax(dim=(1, 2)).clamp_min(0)
        heat = torch.where(drops[:, None, None] > 0, lost.relu() / drops[:, None, None].clamp_min(1e-12), 0.0)
        looks.append(Look(images, heat.numpy(), top.indices.numpy(), top.values.numpy(), drops.double().numpy()))
    how = (
        f"Occlusion: each of {grid} × {grid} patches was greyed in turn; the brighter, the more of the predicted "
        f"class's share went with it, bright yellow the largest loss of each picture. It took {queries} "
        f"queries.{reason}"
    )
    return Gaze(how, shown, looks[0], looks[1], smooth=False, queries=queries)
