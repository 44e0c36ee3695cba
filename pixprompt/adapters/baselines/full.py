"""Full fine-tuning, of copies: the backbone itself stays as it is."""

from __future__ import annotations

from torch import Generator, Tensor

from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline
from .copies import Copies

__all__ = ["Full"]


class Full(Baseline):
    """Learned copies of all backbone parameters, of any model.

    Evaluation mode stays: BatchNorm learns its weights and biases and keeps its running statistics.

    Args:
        model: The frozen model.
        classes: K target class names.
        generator: Draws the first head.

    Reference: arXiv 2203.12119, section 4.1 (Full).
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, generator: Generator) -> None:
        super().__init__(model, classes)
        self.copies = Copies(self.net, self.net.weights())
        self.head = ClassifierHead(self.net.width(), len(classes), generator=generator)

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        return self.copies(*parts)  # type: ignore[no-any-return]
