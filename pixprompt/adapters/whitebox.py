"""What white-box adapters share: a frozen part, a tuned part, their counts, and how they are made by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor, nn

from ..backbones.origin import backbone_sha256, comes_from
from ..core import Access, AccessError, ConfigError, Model, OutputTransform
from ..models import TorchModel
from ..outputs import Direct
from ..seeds import seeded
from ..tensor_checks import check_images
from .beside import BesideModel
from .method import METHODS, Method

if TYPE_CHECKING:
    from ..backbones import ViT
    from ..backbones.convnet import ConvNet
    from ..backbones.swin import Swin

__all__ = ["Parts", "Supervised", "WhiteBox", "local_model", "make_white_box"]

Parts = tuple[Tensor, ...]
"""Tensors whose first dimension is N."""
Supervised = tuple[tuple[float, Tensor], ...]
"""Target logits (N, K) with their shares of the loss."""


class WhiteBox(BesideModel, ABC):
    """Images (N, 3, H, W) in [0, 1] -> target logits (N, K), through a backbone that stays as it is.

    Only what is learned is a parameter, a buffer or a submodule of an adapter; the backbone is held beside them.
    `frozen` is everything before the first learned parameter, so its results may be cached between epochs; `tuned` is
    the rest. Dropout is drawn from the generator of `tuned`, in training mode only.

    Every method takes `generator` besides, which draws its first parameters, and raises a ConfigError where the model
    is of another family than it needs.
    """

    view: ViT | Swin | ConvNet
    """The backbone in parts."""
    caches_frozen: bool = False
    """Whether `frozen` runs so much of the backbone that its results are worth caching between epochs."""
    pruned: nn.Parameter | None = None
    """What is pruned after a first training, by `prune`; None for nothing, and a single training."""

    def __init__(self, model: TorchModel, classes: tuple[str, ...]) -> None:
        super().__init__(model)
        self.output: OutputTransform = Direct(classes)
        self.recipe: tuple[str, dict[str, Any]] | None = None
        """Method and options with which `make_white_box` made it; None where it was built by hand."""
        self._dropout = Generator().manual_seed(0)

    @property
    def model(self) -> TorchModel:
        """The frozen model."""
        model: TorchModel = self._model[0]
        return model

    @property
    def num_tuned(self) -> int:
        """Learned parameters, the head's included."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def num_backbone(self) -> int:
        """Parameters of the backbone without its classifier, of which `num_tuned` is a share."""
        return sum(parameter.numel() for parameter in self.backbone_parameters())

    @property
    def share(self) -> float:
        """Learned parameters over the backbone's."""
        return self.num_tuned / self.num_backbone

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns the frozen parameters that this adapter runs through, without the model's own classifier."""
        return self.view.parameters()

    def backbone_sha256(self) -> str:
        """Returns the digest of all that this adapter rests on."""
        return backbone_sha256(self.model, self.backbone_parameters())

    def frozen(self, images: Tensor) -> Parts:
        """Runs what comes before the first learned parameter.

        Args:
            images: (N, 3, H, W) in [0, 1]; returned as they are if nothing comes before.

        Raises:
            RangeError: Values lie outside [0, 1].
            ShapeError: The images have another size than the model's.
        """
        check_images(images, self.model.spec.image_size)
        with self.model.held():
            return self.before(images)

    @abstractmethod
    def before(self, images: Tensor) -> Parts:
        """Does the work of `frozen`."""

    @abstractmethod
    def tuned(self, parts: Parts, *, generator: Generator | None = None) -> Tensor:
        """Runs the rest: results of `frozen` -> target logits (N, K)."""

    def start(self, parts: Parts, labels: Tensor) -> None:
        """Learns what needs no gradients, before the first step; by default there is nothing.

        Args:
            parts: Results of `frozen` for the training images; () where these are too many to be cached.
            labels: (N,).
        """

    def choose(self, parts: Parts, labels: Tensor) -> None:
        """Chooses by the validation images what training leaves open; by default nothing. Arguments as of `start`."""

    def prune(self, gradients: Iterable[Tensor]) -> None:
        """Prunes, after a first training, what a second one from the same start then does without.

        Args:
            gradients: Those of the loss by `pruned` for batches of the training images.
        """

    def num_learned(self, num_images: int) -> int:
        """Returns the number of learned parameters after `start` on so many images."""
        return self.num_tuned

    def supervised(self, parts: Parts, *, generator: Generator | None = None) -> Supervised:
        """Returns the logits that training compares with the labels; the first are those of `tuned`, the answer."""
        return ((1.0, self.tuned(parts, generator=generator)),)

    def outputs(self, images: Tensor, *, generator: Generator | None = None, quantize: bool = True) -> Tensor:
        """Returns target logits (N, K); `quantize` is for pixel prompts and changes nothing here."""
        return self.tuned(self.frozen(images), generator=generator)

    def forward(self, images: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> target logits (N, K).

        Args:
            images: See `frozen`.
            generator: Draws the dropout in training mode; by default one of the adapter's own, seeded with 0.
        """
        return self.outputs(images, generator=self._dropout if generator is None and self.training else generator)

    def constrain(self) -> None:
        """After an optimiser step: nothing to do, parameters may have any value."""


def make_white_box(
    method: str | Method,
    model: Model | nn.Module,
    classes: Sequence[str],
    *,
    generator: Generator | None = None,
    **options: Any,
) -> WhiteBox:
    """Makes the adapter of a white-box method.

    Args:
        method: A name of METHODS, or a method.
        model: The backbone: a torch model of this package, or a plain timm net, which is read by timm's own data
            configuration.
        generator: Draws the first parameters; by default one that is seeded with 0.
        options: The method's own settings; None stands for the default.

    Raises:
        AccessError: The model only answers.
        ConfigError: The method is no white-box method or has no such option, or the options do not fit the model.
        RangeError: A value lies outside its range.
        UnknownName: There is no such method.
    """
    method = METHODS[method] if isinstance(method, str) else method
    if not method.white_box:
        raise ConfigError(f"method {method.name!r} is not a white-box method.")
    own = {name: value for name, value in options.items() if value is not None}
    known = [item.name for item in method.settings.options().values()]
    for name in own:
        if name not in known:
            options_text = ", ".join(known) or "none"
            raise ConfigError(f"{method.name} has no option {name!r}; it takes {options_text}. Leave it out.")
    adapter: WhiteBox = method.maker()(
        model=local_model(model), classes=tuple(classes), generator=seeded(generator), **own
    )
    adapter.recipe = (method.name, own)
    return adapter


def local_model(model: object) -> TorchModel:
    """Returns a model that a white-box adapter can use; a plain net of timm gets timm's own data configuration.

    Raises:
        AccessError: The model only answers.
        ConfigError: It is a plain net of another library, whose image size and normalisation are not known.
    """
    if isinstance(model, TorchModel) and model.access >= Access.INTERNALS:
        return model
    if isinstance(model, TorchModel) or not isinstance(model, nn.Module):
        raise AccessError(f"expected a local torch model, got {type(model).__name__}; a pixel prompt works with any.")
    kind = type(model).__name__
    if comes_from(model, "timm"):
        from ..models.families.timm_ import wrap

        return wrap(model, f"timm {kind}", owned=False)
    raise ConfigError(
        f"{kind} is a plain net; say how images reach it: pixprompt.as_model(net, image_size=..., mean=..., std=...)."
    )
