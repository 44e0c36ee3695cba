"""VPT's prompts for ConvNets: learned pixels around the image, or learned channels beneath it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ...backbones.convnet import ConvNet
from ...core import ConfigError
from ...models import TorchModel
from ...templates import Over, Padding, PixelTemplate
from ..heads import ClassifierHead
from ..whitebox import Parts, WhiteBox
from .prompts import prompt_bound, uniform

__all__ = ["ChannelConvNet", "PaddedConvNet"]


class PaddedConvNet(WhiteBox):
    """Learned pixels around the image, which grows by `pad` on each side; nothing of it is covered.

    The pixels are those of the template "padding" on the grown canvas: 6 p (H + W + 2 p) values, which start uniform
    in [0, 1] and pass the model's normalisation, as by default in the public code. There they may leave [0, 1]; here
    every step brings them back.

    Args:
        pad: p, in pixels.

    Raises:
        ConfigError: The model is something else, or p is not positive.

    Reference: arXiv 2203.12119, section 5 (Apply VPT to ConvNets).
    """

    view: ConvNet

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, pad: int = 5, generator: Generator) -> None:
        super().__init__(model, classes)
        self.view = _opened(model)
        self.pad = pad
        height, width = model.spec.image_size
        self.template = PixelTemplate("padding", Padding((height + 2 * pad, width + 2 * pad), pad), Over())
        self.theta = nn.Parameter(torch.rand(self.template.num_params, generator=generator))
        self.head = ClassifierHead(self.view.width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns the images: the first thing they meet is learned."""
        return (images,)

    def prompted(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> (N, 3, H + 2 p, W + 2 p), the learned pixels around them."""
        return self.template(F.pad(images, (self.pad,) * 4), self.theta, quantize=False)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs the grown images through the backbone and the head -> logits (N, K)."""
        with self.model.held():
            features = self.view.features(self.prompted(parts[0]))
        logits: Tensor = self.head(features, generator=generator)
        return logits

    @torch.no_grad()
    def constrain(self) -> None:
        """After an optimiser step: brings the pixels back into [0, 1]."""
        self.theta.copy_(self.template.project(self.theta))


class ChannelConvNet(WhiteBox):
    """Learned channels beneath the image, one picture for all images, with their own part of the first convolution.

    The backbone's own part stays frozen; the two are added. The new part starts at 0, so that the first features are
    those of the backbone; the channels start uniform, with the bound of VPT's tokens. (The public code learns the
    whole first convolution.)

    Args:
        channels: C.

    Raises:
        ConfigError: The model is something else, or C is not positive.

    Reference: arXiv 2203.12119, section 4.3 (prompt location, concat-channel).
    """

    view: ConvNet

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, channels: int = 1, generator: Generator) -> None:
        super().__init__(model, classes)
        if channels < 1:
            raise ConfigError(f"expected 1 or more channels, got {channels}.")
        self.view = ConvNet(model)
        first = self.view.first
        down, across = first.kernel_size
        bound = prompt_bound((down, across), first.out_channels)
        self.prompt = uniform(channels, *model.spec.image_size, bound=bound, generator=generator)
        self.kernel = nn.Parameter(torch.zeros(first.out_channels, channels, *first.kernel_size))
        self.head = ClassifierHead(self.view.width, len(classes), generator=generator)

    def before(self, images: Tensor) -> Parts:
        """Returns what the first convolution makes of the images, (N, D, h, w)."""
        return (self.view.first(self.model.prepare(images)),)

    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Adds the channels' part, once for all images, and runs the rest and the head -> logits (N, K)."""
        first = self.view.first
        beneath = F.conv2d(self.prompt.unsqueeze(0), self.kernel, None, first.stride, first.padding, first.dilation)
        with self.model.held():
            features = self.view.rest(parts[0] + beneath)
        logits: Tensor = self.head(features, generator=generator)
        return logits


def _opened(model: TorchModel) -> ConvNet:
    try:
        return ConvNet(model)
    except ConfigError as error:
        raise ConfigError(
            f"pixels around the image make it larger, which a ConvNet takes and a transformer does not: its position "
            f"embeddings (ViT) or windows (Swin) are made for one size. {error}"
        ) from error
