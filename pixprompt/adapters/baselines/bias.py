"""BitFit: the bias vectors of the backbone, and nothing else of it."""

from __future__ import annotations

from torch import Generator, Tensor

from ...core import ConfigError
from ...models import TorchModel
from ..heads import ClassifierHead
from ..whitebox import Parts
from .base import Baseline
from .copies import Copies

__all__ = ["Bias"]


class Bias(Baseline):
    """Learned copies of every bias of any model, the patch embedding's included; frozen weights get no gradients.

    Args:
        model: The frozen model.
        classes: K target class names.
        generator: Draws the first head.

    Raises:
        ConfigError: The backbone has no biases.

    Reference: arXiv 2106.10199 (BitFit); arXiv 2203.12119, section 4.1 (Bias).
    """

    def __init__(self, model: TorchModel, classes: tuple[str, ...], *, generator: Generator) -> None:
        super().__init__(model, classes)
        # `in_proj_bias` and `q_bias` are some too.
        biases = {name: value for name, value in self.net.weights().items() if name.endswith("bias")}
        if not biases:
            raise ConfigError(f"{model.spec.name} has no biases to tune; choose another method.")
        self.copies = Copies(self.net, biases)
        self.head = ClassifierHead(self.net.width(), len(classes), generator=generator)

    def features(self, parts: Parts) -> Tensor:
        """See `Baseline`."""
        return self.copies(*parts)  # type: ignore[no-any-return]
