"""The output transform of a prompt file, read in numpy: labels from answers where no torch is installed."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..core import AnswerKind, ConfigError, ModelSpec, OutputTransform, PromptError, ShapeError
from .catalogue import OUTPUTS
from .direct import Direct

__all__ = ["DOUBT", "SavedOutput", "array_from_json", "rest_of"]

Array: TypeAlias = npt.NDArray[np.float64]
DOUBT = 0.5
"""How likely a bare label is taken to be wrong.

Any value keeps every decision that is made by the largest score. It sets what a wrong answer costs in a cross-entropy,
about log((1 - DOUBT) (S - 1) / DOUBT): 2.3 for S = 11, 6.9 for S = 1000, where an answer that favours no class costs
log K. With a floor of 1e-6 it would be 21 for S = 1000, and a search would rather make the model favour no
class than risk one wrong answer in ten. On the bare labels of MobileNetV2 (CIFAR-10 and flowers, 20 to 1000 sources,
50 and 200 labelled answers) one half lies between what gives "frequency" its least held-out loss, costs of 1 to 3, and
what gives "blm" its own, 2 to 20.
"""


def rest_of(num_outputs: int) -> float:
    """Returns what each of the S - 1 labels that a bare label does not name is taken to be worth.

    They share DOUBT. Of two labels the other one has half of it: with all of it no answer would say anything.
    """
    return DOUBT / max(num_outputs - 1, 2)


@dataclass(frozen=True)
class SavedOutput:
    """Source outputs (N, V * S) -> target logits (N, K), with the arithmetic of `Transform` in float64.

    It agrees with `output_from_json` to float32 rounding, and learns nothing.

    Args:
        values: What `Transform.to_json` wrote: the `output` of a prompt file.
        spec: Spec of the model whose answers come in.

    Raises:
        PromptError: The description is damaged, or made for another kind of model.
    """

    values: dict[str, Any]
    spec: ModelSpec
    arrays: dict[str, Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._check()
            for name in ("matrix", "weight", "bias", "embeddings"):
                if name in self.values:
                    self.arrays[name] = array_from_json(self.values[name]).astype(np.float64)
            probe = np.full((1, self.views * self.spec.num_outputs), 0.5, np.float32)
            if self(probe).shape != (1, len(self.classes)):
                raise ShapeError(f"its numbers do not give one logit for each of {len(self.classes)} classes.")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise PromptError(f"the output transform of the prompt file cannot be used: {reason}") from error

    @property
    def classes(self) -> tuple[str, ...]:
        """The K target class names."""
        return tuple(self.values["classes"])

    @property
    def kind(self) -> str:
        """What users type to get it."""
        return str(self.values["kind"])

    @property
    def views(self) -> int:
        """V, how many answers about each image stand side by side."""
        return int(self.values.get("views", 1))

    def __call__(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turns outputs (N, V * S) into logits (N, K).

        Raises:
            ShapeError: They have another shape.
        """
        size = self.spec.num_outputs
        if outputs.ndim != 2 or outputs.shape[1] != self.views * size:
            raise ShapeError(f"expected outputs (N, {self.views * size}), got {outputs.shape}.")
        if self.kind == Direct.kind:
            return outputs
        scores = _scores(outputs.reshape(-1, size).astype(np.float64), self.spec.answer, self.values.get("floor", 1e-6))
        if self.kind == "reweighted":
            return self._reweighted(scores.reshape(outputs.shape)).astype(np.float32)
        if "weight" in self.arrays:  # reads the answers under several views together
            return self._linear(scores.reshape(outputs.shape)).astype(np.float32)
        logits = self._logits(scores)
        mean: Array = logits.reshape(-1, self.views, logits.shape[1]).mean(1)
        return mean.astype(np.float32)

    def linear_form(self) -> tuple[Array, Array, tuple[int, ...]]:
        """Returns what it does to scores: a weight (V * S, P), a bias (P,), and the P classes of the columns.

        Raises:
            PromptError: It is not linear.
        """
        if self.kind == "attributes":
            raise PromptError("output 'attributes' picks the nearest texts of each image, which no table holds.")
        if "weight" in self.arrays:
            return self.arrays["weight"], self.arrays["bias"], tuple(self.values["present"])
        if self.kind == "reweighted":
            each = self._reweighted(np.eye(self.views * self.spec.num_outputs))
            return each, np.zeros(each.shape[1]), tuple(range(each.shape[1]))
        each = self._logits(np.eye(self.spec.num_outputs)) / self.views
        return np.tile(each, (self.views, 1)), np.zeros(each.shape[1]), tuple(range(each.shape[1]))

    def to_tensors(self, device: str) -> OutputTransform:
        """Returns the same transform for tensors on a device."""
        from .registry import output_from_json

        return output_from_json(self.values, spec=self.spec).to(device)

    def _logits(self, scores: Array) -> Array:
        if "matrix" in self.arrays:
            return np.asarray(scores @ self.arrays["matrix"])
        if self.kind == "attributes":
            return self._nearest(scores @ self.arrays["embeddings"].T)
        if "embeddings" in self.arrays:
            return np.asarray(scores @ self.arrays["embeddings"].T * float(self.values["logit_scale"]))
        return np.stack([scores[:, sources].mean(1) for sources in self.values["mapping"]], axis=1)

    def _nearest(self, similarities: Array) -> Array:
        sizes = [len(texts) for texts in (*self.values["descriptive"], *self.values["distinctive"])]
        parts = np.split(similarities, np.cumsum(sizes)[:-1], axis=1)
        means = [np.sort(part, axis=1)[:, -int(self.values["nearest"]) :].mean(1) for part in parts]
        descriptive, distinctive = np.split(np.stack(means, axis=1), 2, axis=1)
        return np.asarray(float(self.values["logit_scale"]) * (descriptive + distinctive) / 2)

    def _reweighted(self, scores: Array) -> Array:
        texts, groups = self.arrays["embeddings"], np.array(self.values["groups"])
        pages = scores.reshape(len(scores), self.views, -1) @ texts.T
        similarities = float(self.values["logit_scale"]) * pages[:, groups, np.arange(len(groups))]
        return np.asarray(similarities @ self.arrays["matrix"])

    def _linear(self, scores: Array) -> Array:
        logits, present = scores @ self.arrays["weight"] + self.arrays["bias"], list(self.values["present"])
        every = np.repeat(logits.min(1, keepdims=True) - 1, len(self.classes), axis=1)
        every[:, present] = logits
        return every

    def _check(self) -> None:
        spec, values = self.spec, self.values
        if self.kind == Direct.kind:
            return
        if self.kind not in OUTPUTS:
            raise ConfigError(f"{self.kind!r} is unknown here. Was the prompt made by a newer pixprompt?")
        if values.get("labels") and tuple(values["labels"]) != spec.labels:
            raise ConfigError(f"its {len(values['labels'])} sources have other names than those of {spec.name}.")
        if values["num_outputs"] != spec.num_outputs:
            raise ConfigError(f"it was made for {values['num_outputs']} outputs, {spec.name} has {spec.num_outputs}.")
        embeddings = AnswerKind.EMBEDDINGS in (values["answer"], spec.answer)
        if values["answer"] != spec.answer and ("weight" in values or embeddings):
            raise ConfigError(f"it was made for {values['answer']}, {spec.name} answers with {spec.answer}.")
        if any(min(sources, default=-1) < 0 for sources in values.get("mapping", ())):
            raise ConfigError("each class has one or more sources, counted from 0.")


def array_from_json(values: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Reads what `tensor_to_json` wrote: {"dtype", "shape", "base64"}.

    Raises:
        PromptError: It is damaged, of another type, or not finite.
    """
    try:
        if values["dtype"] != "float32":
            raise PromptError(f"expected a float32 tensor, got {values['dtype']!r}.")
        content = base64.b64decode(values["base64"], validate=True)
        array = np.frombuffer(content, "<f4").reshape(tuple(values["shape"])).astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"a tensor of the prompt file cannot be read: {error}") from error
    if not np.isfinite(array).all():
        raise PromptError("a tensor of the prompt file holds values that are not finite.")
    return array


def _scores(outputs: Array, answer: AnswerKind, floor: float) -> Array:
    """Returns logits or log-probabilities; see `scores.to_scores`."""
    if answer is AnswerKind.PROBABILITIES:
        return np.asarray(np.log(np.maximum(outputs, floor)))
    if answer is AnswerKind.TOP_K:
        is_named = outputs > 0
        total, num_silent = outputs.sum(1, keepdims=True), np.maximum((~is_named).sum(1, keepdims=True), 1)
        share = np.where(total > 1, floor, np.maximum((1 - total) / num_silent, floor))
        least = np.where(is_named, outputs, 1.0).min(1, keepdims=True)
        return np.asarray(np.log(np.where(is_named, outputs, np.minimum(share, least))))
    if answer is AnswerKind.LABEL:
        rest = rest_of(outputs.shape[1])
        return np.asarray(np.log(rest + outputs * (1 - DOUBT - rest)))
    return outputs
