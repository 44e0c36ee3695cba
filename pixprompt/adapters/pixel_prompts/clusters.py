"""DAM-VP's prompts: the training images in clusters, one prompt for each, chosen by the model's answer to the image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

from ...canvas import Canvas
from ...core import ConfigError, Model, OutputTransform, PromptError
from ...models import DirectQuerier
from ...prompt import Prompt, load
from ...templates import PixelTemplate
from ...tensor_checks import check_images
from ..pixel import PixelPrompt

__all__ = ["ClusterPrompts"]

_MOST = 1000
"""Training images that are clustered, as published."""


class ClusterPrompts(PixelPrompt):
    """V prompts of one template, of which an image gets the one of the nearest cluster.

    Clusters are of the model's answers to the images as they are, scaled to unit length: average linkage of at most
    1,000 of them, cut at V clusters, each with its mean as prototype. (The paper cuts at a distance that it states
    for the features of each backbone; the answers of any model have no such scale.) An image takes one query to be
    assigned and one to be read.

    Args:
        prompts: V.
        meta: A prompt PNG that was learned on other data, from which every prompt starts: the meta-prompt.
        features: Length of an answer; the model's own by default.
        generator: Draws the first prompt where it is noise; by default one that is seeded with 0.
        space: "pixel".

    Raises:
        ConfigError: V is below 1, or the space another one.
        PromptError: The meta-prompt has another template or blend.

    Reference: arXiv 2303.08138.
    """

    queries_per_image = 2
    prototypes: Tensor

    def __init__(
        self,
        template: PixelTemplate,
        model: Model,
        output: OutputTransform,
        *,
        prompts: int = 5,
        meta: str | None = None,
        features: int | None = None,
        generator: Generator | None = None,
        space: str = "pixel",
    ) -> None:
        if prompts < 1 or space != "pixel":
            raise ConfigError(f"method 'dam-vp' needs a prompt or more and space 'pixel', got {prompts} and {space!r}.")
        self.count = prompts
        super().__init__(template, model, output, generator=generator, start=None if meta is None else load(meta))
        self.blank_start = meta is None
        features = features or model.spec.num_outputs
        self.recipe = ("dam-vp", {"prompts": prompts, "features": features})
        self.register_buffer("prototypes", torch.zeros(prompts, features))

    def begin(self, theta: Tensor) -> None:
        """Makes what is learned, `thetas` (V, P)."""
        self.thetas = nn.Parameter(theta.repeat(self.count, 1))

    @property
    def theta(self) -> Tensor:  # type: ignore[override]
        """The prompt of the first cluster, (P,)."""
        return self.thetas[0]

    def find_clusters(self, outputs: Tensor, *, generator: Generator) -> None:
        """Sets the prototypes from the answers (N, S) to training images.

        Raises:
            ConfigError: There are fewer images than clusters.
        """
        if len(outputs) < self.count:
            raise ConfigError(f"{len(outputs)} training images make no {self.count} clusters; take fewer --prompts.")
        from sklearn.cluster import AgglomerativeClustering  # slow to import, and for this alone

        order = torch.randperm(len(outputs), generator=generator)[:_MOST]
        features = normalize(outputs[order].float(), dim=1)
        labels = torch.zeros(len(features), dtype=torch.int64)
        if self.count > 1:
            linkage = AgglomerativeClustering(self.count, linkage="average")
            labels = torch.from_numpy(linkage.fit_predict(features.double().numpy()))
        means = [features[labels == cluster].mean(0) for cluster in range(self.count)]
        self.prototypes.copy_(torch.stack(means))

    @torch.no_grad()
    def clusters_of(self, images: Tensor) -> Tensor:
        """Queries the model about images as they are and returns the nearest cluster of each, (N,)."""
        features = normalize(self.model(images).float(), dim=1)
        return torch.cdist(features, self.prototypes.to(features)).argmin(dim=1)

    def prompted(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Lays on each image the prompt of its cluster; see `PixelPrompt.prompted`."""
        check_images(images, self.template.geometry.size)
        clusters, prompted = self.clusters_of(images), torch.empty_like(images)
        for cluster in torch.unique(clusters).tolist():
            chosen = clusters == cluster
            one = self.template(images[chosen], self.thetas[cluster], generator=generator, quantize=quantize)
            prompted = prompted.index_put((chosen.nonzero().flatten(),), one.to(images.dtype))
        return prompted

    def to_prompt(self, canvas: Canvas | None = None, **origin: Any) -> Prompt:
        """Raises PromptError: there are several; see `to_prompts`."""
        raise PromptError(
            "method 'dam-vp' chooses a prompt for each image, which no PNG can do; `to_prompts` gives one per cluster."
        )

    def to_prompts(self, canvas: Canvas | None = None, **origin: Any) -> list[Prompt]:
        """Returns the prompt of each cluster as it would be saved; see `PixelPrompt.to_prompt`."""
        canvas, origin = self.saved_with(canvas, origin)
        output = self.output.to_json()
        return [self.template.to_prompt(each, canvas, output=output, **origin) for each in self.thetas]

    def set_model(self, model: Model) -> None:
        """Takes another model with as many outputs, which chooses the prompts from now on."""
        self._model = (DirectQuerier(model),)

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: see `PixelPrompt`."""
        for each in self.thetas:
            each.copy_(self.template.project(each))
