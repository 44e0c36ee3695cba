"""The inputs of a fit: the images of a split, or cached features of an adapter's frozen part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from ....adapters import PixelPrompt, Supervised, WhiteBox
from ....data import CanvasSet
from ....models import images_per_call
from ...answers import Answered, batches, query_canvases
from ...progress import Reporter, Silent
from ...ranks import current_ranks
from .augmentation import Augmentation

__all__ = ["CachedFeatures", "Images", "TrainInputs", "inputs_of"]

_MOST_BYTES = 2**31
"""Features of a split are cached in memory up to this size."""


class TrainInputs(Protocol):
    """One split as the inputs of a fit."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,)."""
        ...

    def expect(self, order: Tensor) -> None:
        """Says in which order the images will be chosen, (N,)."""
        ...

    def start(self) -> None:
        """Gives the adapter, before the first step, what it learns from these images without gradients."""
        ...

    def choose(self) -> None:
        """Has the adapter choose by these images what training leaves open."""
        ...

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """Returns the adapter's outputs for images chosen by position, (n,), to be differentiated.

        The first are its answer; others that training compares with the labels have their own share of the loss.
        """
        ...

    def answered(self, reporter: Reporter) -> Answered:
        """Returns the adapter's outputs for all images."""
        ...

    def rebind(self, adapter: WhiteBox) -> TrainInputs:
        """Returns the same split for another adapter with the same frozen part."""
        ...


class Images:
    """Every image goes through the whole adapter each time.

    Args:
        on_images: Receives the number of images that went through the backbone.
        augment: Changes the images of a training step; None leaves them as they are.
    """

    def __init__(
        self,
        adapter: PixelPrompt | WhiteBox,
        canvases: CanvasSet,
        device: str,
        *,
        on_images: Callable[[int], None] = lambda _: None,
        augment: Augmentation | None = None,
    ) -> None:
        self.adapter, self.canvases, self.device, self.on_images = adapter, canvases, device, on_images
        self.augment = augment

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,)."""
        return self.canvases.labels

    def expect(self, order: Tensor) -> None:
        """See `TrainInputs`."""
        self.canvases.pixels.expect(order.tolist())

    def start(self) -> None:
        """See `TrainInputs`."""
        if isinstance(self.adapter, WhiteBox):
            self.adapter.start((), torch.from_numpy(self.labels))

    def choose(self) -> None:
        """See `TrainInputs`; what chooses is what caches features."""

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """See `TrainInputs`."""
        self.on_images(len(chosen))
        images = self.canvases.pixels.images(chosen.numpy(), self.device)
        if self.augment is not None:
            images = self.augment(images, generator)
        if isinstance(self.adapter, WhiteBox):
            return self.adapter.supervised(self.adapter.frozen(images), generator=generator)
        return ((1.0, self.adapter.outputs(images, generator=generator)),)

    def answered(self, reporter: Reporter) -> Answered:
        """See `TrainInputs`."""
        self.on_images(sum(len(place) for place in _own_places(len(self.labels), self.device)))
        return query_canvases(self.adapter.outputs, self.canvases, device=self.device, reporter=reporter)

    def rebind(self, adapter: WhiteBox) -> TrainInputs:
        """See `TrainInputs`."""
        return Images(adapter, self.canvases, self.device, on_images=self.on_images, augment=self.augment)


class CachedFeatures:
    """The tuned part alone, on features of the frozen part, which has run once for each image.

    Args:
        parts: Results of its frozen part for the N images, on the CPU.
        labels: (N,).
    """

    def __init__(
        self, adapter: WhiteBox, parts: tuple[Tensor, ...], labels: npt.NDArray[np.int64], device: str
    ) -> None:
        self.adapter, self.parts, self.labels, self.device = adapter, parts, labels, device

    def expect(self, order: Tensor) -> None:
        """See `TrainInputs`; all features are there."""

    def start(self) -> None:
        """See `TrainInputs`."""
        self.adapter.start(self.parts, torch.from_numpy(self.labels))

    def choose(self) -> None:
        """See `TrainInputs`."""
        self.adapter.choose(self.parts, torch.from_numpy(self.labels))

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """See `TrainInputs`."""
        return self.adapter.supervised(tuple(part[chosen].to(self.device) for part in self.parts), generator=generator)

    @torch.no_grad()
    def answered(self, reporter: Reporter) -> Answered:
        """See `TrainInputs`."""
        rows, places = [], _own_places(len(self.labels), self.device)
        for place in places:
            rows.append(self.adapter.tuned(tuple(part[place].to(self.device) for part in self.parts)).float().cpu())
            reporter.advance(len(rows[-1]))
        outputs = current_ranks().gather(rows, places, len(self.labels))
        return Answered(outputs, torch.from_numpy(np.array(self.labels)))

    def rebind(self, adapter: WhiteBox) -> TrainInputs:
        """See `TrainInputs`."""
        return CachedFeatures(adapter, self.parts, self.labels, self.device)


@torch.no_grad()
def inputs_of(
    adapter: WhiteBox,
    canvases: CanvasSet,
    device: str,
    *,
    on_images: Callable[[int], None] = lambda _: None,
    reporter: Reporter | None = None,
    augment: Augmentation | None = None,
) -> TrainInputs:
    """Returns the inputs of a split: cached features where that saves work and fits into memory, images elsewhere.

    Of several processes, each computes a share of the features, and all have all of them.

    Args:
        on_images: See `Images`.
        augment: See `Images`; images that change cannot be cached.
    """
    reporter, count = reporter or Silent(), len(canvases.labels)
    whole = Images(adapter, canvases, device, on_images=on_images, augment=augment)
    if augment is not None or not adapter.caches_frozen or not count:
        return whole
    cache: tuple[Tensor, ...] = ()
    places = list(batches(count, images_per_call(device)))
    own = current_ranks().own(places)
    for place in [places[0], *(own[1:] if current_ranks().rank == 0 else own)]:
        images = canvases.pixels.images(place, device)
        parts = adapter.frozen(images)
        bytes_each = sum(part.numel() * part.element_size() for part in parts) / len(images)
        if any(part is images for part in parts) or bytes_each * count > _MOST_BYTES:
            return whole
        if not cache:
            reporter.stage("frozen part", count)
            # All at once: joining batches at the end would hold everything twice.
            cache = tuple(_room(part, count) for part in parts)
        for room, part in zip(cache, parts, strict=True):
            room[place] = part.cpu()
        on_images(len(images))
        reporter.advance(len(images))
    for room in cache:
        _add_shares(room, places[0])
    return CachedFeatures(adapter, cache, canvases.labels, device)


def _own_places(total: int, device: str) -> Sequence[Tensor]:
    """Returns the positions of this process's batches, each (n,)."""
    return current_ranks().own(torch.split(torch.arange(total), images_per_call(device)))


def _add_shares(room: Tensor, first: slice) -> None:
    """Adds up the features that the processes have computed; all of them have computed the first batch."""
    if current_ranks().rank:
        room[first] = 0
    current_ranks().add(room)


def _room(part: Tensor, count: int) -> Tensor:
    """Memory for the rows of `count` images, in the order in which a part of some of them is."""
    by_channel = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if by_channel else torch.contiguous_format
    room = torch.empty(count, *part.shape[1:], dtype=part.dtype, memory_format=order)
    return room.zero_() if current_ranks().size > 1 else room
