"""Where a fit gets an adapter's outputs from: the images of a split, or what the frozen part made of them once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from ...adapters import PixelPrompt, Supervised, WhiteBox
from ...data import CanvasSet
from ..answers import Answered, ask_all, batches, to_images
from ..report import Reporter, Silent

__all__ = ["Feed", "Images", "Kept", "feed_of"]

_MOST_BYTES = 2**31
"""What the frozen part made of a split is kept in memory up to this size."""


class Feed(Protocol):
    """One split, as a fit sees it."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,)."""
        ...

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """Returns the adapter's outputs for images chosen by position, (n,), to be differentiated.

        The first are those that it answers with; of others that training looks at, each has its share of the loss.
        """
        ...

    def answered(self, reporter: Reporter) -> Answered:
        """Returns the adapter's outputs for all images."""
        ...

    def onto(self, adapter: WhiteBox) -> Feed:
        """Returns the same split for another adapter with the same frozen part."""
        ...


class Images:
    """Every image goes through the whole adapter each time.

    Args:
        adapter: What is fitted.
        canvases: Of the split.
        device: Where it works.
        on_images: Told of the number of images that a backbone of an open model has answered.
    """

    def __init__(
        self,
        adapter: PixelPrompt | WhiteBox,
        canvases: CanvasSet,
        device: str,
        *,
        on_images: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.adapter, self.canvases, self.device, self.on_images = adapter, canvases, device, on_images

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,)."""
        return self.canvases.labels

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """See `Feed`."""
        self.on_images(len(chosen))
        images = to_images(self.canvases.pixels[chosen.numpy()], self.device)
        if isinstance(self.adapter, WhiteBox):
            return self.adapter.supervised(self.adapter.frozen(images), generator=generator)
        return ((1.0, self.adapter.outputs(images, generator=generator)),)

    def answered(self, reporter: Reporter) -> Answered:
        """See `Feed`."""
        self.on_images(len(self.labels))
        return ask_all(self.adapter.outputs, self.canvases, device=self.device, reporter=reporter)

    def onto(self, adapter: WhiteBox) -> Feed:
        """See `Feed`."""
        return Images(adapter, self.canvases, self.device, on_images=self.on_images)


class Kept:
    """Only the tuned part runs; the frozen part has run once for each image.

    Args:
        adapter: What is fitted.
        parts: What its frozen part made of the N images, on the CPU.
        labels: (N,).
        device: Where it works.
    """

    def __init__(
        self, adapter: WhiteBox, parts: tuple[Tensor, ...], labels: npt.NDArray[np.int64], device: str
    ) -> None:
        self.adapter, self.parts, self.labels, self.device = adapter, parts, labels, device

    def supervised(self, chosen: Tensor, generator: Generator) -> Supervised:
        """See `Feed`."""
        return self.adapter.supervised(tuple(part[chosen].to(self.device) for part in self.parts), generator=generator)

    @torch.no_grad()
    def answered(self, reporter: Reporter) -> Answered:
        """See `Feed`."""
        found = []
        for place in batches(len(self.labels)):
            found.append(self.adapter.tuned(tuple(part[place].to(self.device) for part in self.parts)).float().cpu())
            reporter.advance(len(found[-1]))
        return Answered(torch.cat(found), torch.from_numpy(np.array(self.labels)))

    def onto(self, adapter: WhiteBox) -> Feed:
        """See `Feed`."""
        return Kept(adapter, self.parts, self.labels, self.device)


@torch.no_grad()
def feed_of(
    adapter: WhiteBox,
    canvases: CanvasSet,
    device: str,
    *,
    on_images: Callable[[int], None] = lambda _: None,
    reporter: Reporter | None = None,
) -> Feed:
    """Runs the frozen part of an adapter over a split and keeps what it made, where that pays and is not too big.

    Args:
        adapter: What is to be fitted.
        canvases: Of the split.
        device: Where it works.
        on_images: See `Images`.
        reporter: Hears about progress.
    """
    reporter, count = reporter or Silent(), len(canvases.labels)
    whole = Images(adapter, canvases, device, on_images=on_images)
    if not adapter.keeps:
        return whole
    kept: tuple[Tensor, ...] = ()
    for place in batches(count):
        images = to_images(np.asarray(canvases.pixels[place]), device)
        parts = adapter.frozen(images)
        bytes_each = sum(part.numel() * part.element_size() for part in parts) / len(images)
        if any(part is images for part in parts) or bytes_each * count > _MOST_BYTES:
            return whole
        if not kept:
            reporter.stage("frozen part", count)
            # All at once: joining batches at the end would hold everything twice.
            kept = tuple(_room(part, count) for part in parts)
        for room, part in zip(kept, parts, strict=True):
            room[place] = part.cpu()
        on_images(len(images))
        reporter.advance(len(images))
    return Kept(adapter, kept, canvases.labels, device)


def _room(part: Tensor, count: int) -> Tensor:
    """Memory for the rows of `count` images, in the order in which a part of some of them is."""
    by_channel = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if by_channel else torch.contiguous_format
    return torch.empty(count, *part.shape[1:], dtype=part.dtype, memory_format=order)
