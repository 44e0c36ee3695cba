"""The vocabulary of pixprompt: what a model allows, what it answers, the protocols, the errors.

Read this file first. It imports nothing but the standard library, so that `pixprompt apply` never pays for torch.

The error tree::

    PixpromptError
    ├── AccessError       the model does not allow what the adapter needs
    ├── BudgetError       the queries would cost more than the budget has left
    ├── ConfigError       an option or a combination of options makes no sense   (ValueError)
    │   └── UnknownName   a name that no registry knows                          (KeyError)
    ├── DataError         images or labels cannot be used as they are
    │   └── ImageError    one image cannot be read
    ├── DoubtError        requests of an earlier session may have been answered, and nobody said what to do
    ├── LimitError        no further request may be sent; the run can go on with a higher limit
    ├── ModelError        a model cannot be built, or answers nonsense
    │   └── EndpointError a remote model refuses, or no longer answers
    ├── PromptError       a prompt file is damaged, foreign or unfit             (ValueError)
    ├── RangeError        values outside their range                             (ValueError)
    └── ShapeError        a tensor of the wrong shape                            (ValueError)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Access",
    "AccessError",
    "AnswerKind",
    "BudgetError",
    "ConfigError",
    "DataError",
    "DoubtError",
    "EndpointError",
    "ImageError",
    "LimitError",
    "Model",
    "ModelError",
    "ModelSpec",
    "NamedSpec",
    "OutputTransform",
    "PixpromptError",
    "PromptError",
    "RangeError",
    "ShapeError",
    "UnknownName",
]


class PixpromptError(Exception):
    """Base of every error that pixprompt raises on purpose."""


class AccessError(PixpromptError):
    """The adapter needs more access than the model offers."""


class BudgetError(PixpromptError):
    """The queries would cost more than the budget has left; nothing was sent."""


class ConfigError(PixpromptError, ValueError):
    """An option, or a combination of options, makes no sense."""


class UnknownName(ConfigError, KeyError):
    """A name that no registry knows."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class DataError(PixpromptError):
    """Images or labels cannot be used as they are."""


class ImageError(DataError):
    """One image cannot be read."""


class LimitError(PixpromptError):
    """No further request may be sent; unlike a budget of queries, no run is planned around this limit."""


class ModelError(PixpromptError):
    """A model cannot be built, or it answers nonsense."""


class DoubtError(PixpromptError):
    """Requests of an earlier session may have been answered and billed; a policy is needed."""


class EndpointError(ModelError):
    """A remote model refuses for good, or no longer answers."""


class PromptError(PixpromptError, ValueError):
    """A prompt file is damaged, foreign, or does not fit its use."""


class RangeError(PixpromptError, ValueError):
    """Values lie outside their range."""


class ShapeError(PixpromptError, ValueError):
    """A tensor has the wrong shape."""


class Access(IntEnum):
    """What a model lets a caller do; each level includes the ones before it."""

    SCORES = 1
    GRADIENTS = 2
    INTERNALS = 3


class AnswerKind(StrEnum):
    """What the numbers are that a model returns."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    EMBEDDINGS = "embeddings"
    """Unit-length image embeddings of a dual encoder; a text output transform turns them into logits."""
    TOP_K = "top-k"
    """Probabilities of the likeliest classes only; 0 where the answer is silent."""
    LABEL = "label"
    """One class per image and nothing else: rows of zeros with a single 1."""


@dataclass(frozen=True)
class ModelSpec:
    """What a caller must know about a model before calling it.

    Attributes:
        name: What to type to get this model again.
        image_size: (height, width) of the canvas, in pixels.
        num_outputs: S, the length of an answer.
        answer: What the numbers of an answer are.
        labels: S names of the source classes, or None where they are unknown.
        resample: The resize filter of the model's own evaluation setting (a name of `canvas.FILTERS`).
        crop_pct: Share of the resized image that the centre crop keeps, in (0, 1].
        aspect: How a non-square image becomes a canvas: "crop", "squash" or "letterbox".
        floor: What a probability of 0 stands for in a logarithm: half of the last decimal where answers are rounded.
    """

    name: str
    image_size: tuple[int, int]
    num_outputs: int
    answer: AnswerKind = AnswerKind.LOGITS
    labels: tuple[str, ...] | None = None
    resample: str = "bicubic"
    crop_pct: float = 1.0
    aspect: str = "crop"
    floor: float = 1e-6


@dataclass(frozen=True)
class NamedSpec(ModelSpec):
    """Spec of a model whose answers name each output; their order is that of `labels`."""


@runtime_checkable
class Model(Protocol):
    """An opaque callable: images (N, 3, H, W) float32 in [0, 1] -> outputs (N, S). Its normalisation is inside."""

    @property
    def spec(self) -> ModelSpec:
        """What a caller must know before calling."""
        ...

    @property
    def access(self) -> Access:
        """What the model lets a caller do."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images (N, 3, H, W) with outputs (N, S)."""
        ...


class OutputTransform(Protocol):
    """Source outputs (N, S) -> target logits (N, K). An immutable value: `refit` returns a new one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The K target class names."""
        ...

    @property
    def kind(self) -> str:
        """What users type to get it."""
        ...

    @property
    def fits(self) -> bool:
        """Whether it learns from answers at all."""
        ...

    @property
    def refits_in_training(self) -> bool:
        """Whether it is learned again while the prompt is, from answers that were received anyway."""
        ...

    def to(self, device: str, /) -> OutputTransform:
        """Returns the same transform with its tensors on a device."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Returns {"kind", "classes", ...}, complete."""
        ...

    def __call__(self, outputs: Tensor, /) -> Tensor:
        """Turns outputs (N, S) into logits (N, K)."""
        ...

    def refit(self, outputs: Tensor, labels: Tensor) -> OutputTransform:
        """Learns from answers already received, outputs (M, S) and labels (M,); the fixed ones return self."""
        ...
