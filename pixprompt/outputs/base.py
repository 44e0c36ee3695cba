"""What every output transform shares: checks, scores, devices and the exact JSON form."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..core import AnswerKind, ConfigError, ModelSpec, RangeError, ShapeError
from .saved import array_from_json
from .scores import to_scores

__all__ = ["CLASSIFIER", "Setup", "Transform", "tensor_from_json", "tensor_to_json"]

CLASSIFIER = frozenset({AnswerKind.LOGITS, AnswerKind.PROBABILITIES, AnswerKind.TOP_K, AnswerKind.LABEL})
_OPTIONAL = ("labels", "views", "smoothing", "top", "chosen", "sources")
"""Fields that a prompt file holds only where they differ from their default."""


@dataclass(frozen=True)
class Setup:
    """What an output transform may be built from; each kind takes what it needs.

    Attributes:
        constants: Constants of the kind; what is missing is as published. For the other attributes see `make_output`.
    """

    classes: tuple[str, ...]
    spec: ModelSpec
    seed: int = 0
    mapping_file: Path | None = None
    texts: tuple[str, ...] | None = None
    words: tuple[str, ...] | None = None
    encode_text: Callable[[Sequence[str]], Tensor] | None = None
    logit_scale: float = 100.0
    views: int = 1
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Transform(ABC):
    """Source outputs (N, S) -> target logits (N, K), an immutable value.

    The fields of a subclass are its whole state: tensors, or what JSON can hold, or None before the first `refit`.

    Attributes:
        classes: K names of the target classes.
        num_outputs: S, the length of a source answer.
        answer: What the numbers of a source answer are.
        floor: What a probability of 0 stands for; see `to_scores`.
        labels: S names of the source classes where answers are made of names, so that a model which finds its labels
            as it is queried can be given the same ones again; otherwise empty.
        views: V, how many answers about each image stand side by side: one under each view of a committee.
    """

    classes: tuple[str, ...]
    num_outputs: int
    answer: AnswerKind
    floor: float = field(default=1e-6, kw_only=True)
    labels: tuple[str, ...] = field(default=(), kw_only=True)
    views: int = field(default=1, kw_only=True)

    kind: ClassVar[str]
    answers: ClassVar[frozenset[AnswerKind]] = CLASSIFIER
    fits: ClassVar[bool] = False
    refits_in_training: ClassVar[bool] = False
    one_to_one: ClassVar[bool] = False
    """Gives every class a source of its own, so there must be as many sources as classes."""
    shift_invariant: ClassVar[bool] = True
    """Adding a constant to an answer moves all classes alike, so logits and log-probabilities are interchangeable."""
    constants: ClassVar[tuple[str, ...]] = ()
    """Fields that are chosen when it is made."""
    joint: ClassVar[bool] = False
    """Reads the answers under several views together; the other kinds read each one alone and average the logits."""

    @classmethod
    @abstractmethod
    def make(cls, setup: Setup) -> Self:
        """Builds the transform; the kinds that learn from answers start empty."""

    @classmethod
    def restore(cls, values: dict[str, Any], setup: Setup) -> Self:
        """Rebuilds what `to_json` described."""
        # A field with its default is not in the file.
        names = [part.name for part in fields(cls) if not part.kw_only or part.name in values]
        state = {name: _decoded(values[name]) for name in names}
        if not 0 < state.get("floor", 0.5) < 1:
            raise ConfigError(f"the floor of a probability lies in (0, 1), got {state['floor']}.")
        if type(state.get("views", 1)) is not int or state.get("views", 1) < 1:
            raise ConfigError(f"the number of views is a whole number from 1 on, got {state['views']!r}.")
        restored = cls(**{**state, "classes": setup.classes, "answer": setup.spec.answer})
        restored._check_fitted()
        return restored

    def __call__(self, outputs: Tensor) -> Tensor:
        """Turns source outputs (N, V * S) into target logits (N, K), float32; gradients flow through.

        Raises:
            ConfigError: The transform learns from answers and has seen none.
            ShapeError: The outputs have another shape.
        """
        self._check_fitted()
        device = outputs.device.type
        # Mixed precision of the model must not round what is compared and reported.
        with torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext():
            logits = self._logits(self._scores(outputs))
            return logits if self.joint or self.views == 1 else logits.reshape(-1, self.views, logits.shape[1]).mean(1)

    def refit(self, outputs: Tensor, labels: Tensor) -> Self:
        """Learns from answers already received and returns a new transform; the fixed kinds return self.

        Args:
            outputs: (M, V * S) source outputs.
            labels: (M,) target classes, 0..K-1.

        Raises:
            RangeError: A label is no class index.
            ShapeError: The shapes do not fit together, or there are no answers.
        """
        if not self.fits:
            return self
        if labels.shape != outputs.shape[:1] or labels.numel() == 0:
            raise ShapeError(f"expected outputs (M, S) and labels (M,), M >= 1, got {tuple(outputs.shape)} and "
                             f"{tuple(labels.shape)}.")  # fmt: skip
        # Answers collected under inference_mode may not take part in autograd later: hence the copy.
        with torch.inference_mode(False), torch.no_grad():
            targets = labels.detach().to("cpu", torch.int64, copy=True)
            if int(targets.min()) < 0 or int(targets.max()) >= len(self.classes):
                raise RangeError(f"labels must lie in 0..{len(self.classes) - 1}, got {int(targets.min())}.."
                                 f"{int(targets.max())}; leave out unlabelled images.")  # fmt: skip
            scores = self._scores(outputs.detach().to("cpu", torch.float32, copy=True))
            targets = targets.repeat_interleave(len(scores) // len(targets))
            return self.to("cpu")._fit(scores, targets).to(outputs.device)

    def to(self, device: torch.device | str) -> Self:
        """Returns the same transform with its tensors on a device."""
        state = {part.name: getattr(self, part.name) for part in fields(self)}
        tensors: dict[str, Any] = {name: value.to(device) for name, value in state.items() if isinstance(value, Tensor)}
        return replace(self, **tensors)

    def to_json(self) -> dict[str, Any]:
        """Returns the complete description, {"kind", "classes", ...}; `output_from_json` reads it back exactly.

        Raises:
            ConfigError: The transform learns from answers and has seen none.
        """
        self._check_fitted()
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        omitted = {part.name for part in fields(self) if part.name in _OPTIONAL and values[part.name] == part.default}
        return {"kind": self.kind, **{name: _encoded(values[name]) for name in values if name not in omitted}}

    @abstractmethod
    def _logits(self, scores: Tensor) -> Tensor: ...

    def _fit(self, scores: Tensor, labels: Tensor) -> Self:
        """Learns from checked float32 scores and int64 labels on the CPU; kinds with `fits` do it their way."""
        del scores, labels
        return self

    def _scores(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 2 or outputs.shape[1] != self.views * self.num_outputs:
            raise ShapeError(f"expected outputs (N, {self.views * self.num_outputs}), got {tuple(outputs.shape)}.")
        scores = to_scores(outputs.float().reshape(-1, self.num_outputs), self.answer, self.floor)
        return scores.reshape(outputs.shape) if self.joint else scores

    def _check_fitted(self) -> None:
        if any(getattr(self, part.name) is None for part in fields(self)):
            raise ConfigError(
                f"the output transform {self.kind!r} learns from labelled answers; call refit(outputs, labels) first."
            )


def tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    """Returns {"dtype", "shape", "base64"} of a float32 tensor, little-endian, exact."""
    array = tensor.detach().cpu().numpy().astype("<f4")
    content = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": "float32", "shape": list(array.shape), "base64": content}


def tensor_from_json(values: dict[str, Any]) -> Tensor:
    """Reads what `tensor_to_json` wrote.

    Raises:
        PromptError: It is damaged, of another type, or not finite.
    """
    return torch.from_numpy(array_from_json(values))


def _encoded(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tensor_to_json(value)
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    return value.value if isinstance(value, AnswerKind) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return tensor_from_json(value)
    return tuple(_decoded(item) for item in value) if isinstance(value, list) else value
