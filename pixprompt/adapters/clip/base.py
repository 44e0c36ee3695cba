"""What methods share that classify the embeddings of a dual encoder by what is said about the classes."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from ...backbones.features import FeatureNet
from ...models import DualEncoder, TorchModel
from ...outputs import TextPrompts, make_output
from ..whitebox import Parts, WhiteBox

__all__ = ["OnEmbeddings"]


class OnEmbeddings(WhiteBox):
    """Unit-length embeddings of images (N, D), which are frozen: those of a dual encoder, or any model's features."""

    caches_frozen = True

    def __init__(self, model: TorchModel, classes: tuple[str, ...]) -> None:
        super().__init__(model, classes)
        # In a tuple, so that the backbone's parameters are none of this adapter's.
        self._net = (None if isinstance(model, DualEncoder) else FeatureNet(model),)

    @abstractmethod
    def read(self, texts: TextPrompts) -> None:
        """Takes the texts that stand for the classes."""

    def texts(self) -> TextPrompts | None:
        """Returns what a dual encoder's text side makes of the class names alone; None of another model."""
        model, classes = self.model, self.output.classes
        if not isinstance(model, DualEncoder):
            return None
        scale, encode = model.logit_scale, model.encode_text
        text = make_output("text", classes=classes, spec=model.spec, encode_text=encode, logit_scale=scale)
        return cast(TextPrompts, text)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters on the way to the embeddings of images."""
        net = self._net[0]
        return list(cast(nn.Module, self.model.net.visual).parameters() if net is None else net.weights().values())

    def before(self, images: Tensor) -> Parts:
        """Returns the embeddings."""
        net = self._net[0]
        return (self.model(images) if net is None else F.normalize(net(images), dim=1),)
