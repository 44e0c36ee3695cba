"""`student.safetensors`: a local model that has learned from what a run paid for, and when its answer is enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...backbones.local_features import LocalFeatures
from ...canvas import Canvas, Pixels
from ...core import ConfigError, OutputTransform, PixpromptError, PromptError
from ...files import file_sha256
from ...files.tensors import load_state, save_state
from ...models import load_model
from ...outputs import output_from_json
from ...version import __version__
from ..config.train_config import TrainConfig
from ..inputs.trust import check_trusted

__all__ = ["FILE", "Student"]

FILE = "student.safetensors"
_SCHEMA = 1


@dataclass(frozen=True)
class Student:
    """A local model with a head of its own.

    Attributes:
        net: Gives features (N, D).
        output: Features -> logits (N, K).
        threshold: Least difference of the two largest probabilities with which the paid model is not asked; None where
            it always is.
    """

    net: LocalFeatures
    output: OutputTransform
    threshold: float | None

    @property
    def canvas(self) -> Canvas:
        """How an image becomes one of its own."""
        return self.net.canvas

    def answer(self, canvases: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Returns probabilities (N, K) of canvases (N, H, W, 3), and about which, (N,), the paid model is asked."""
        shares = self.output(self.net(canvases)).double().softmax(1).numpy()
        top = np.sort(shares, axis=1)[:, -2:]
        return shares, np.asarray(top[:, -1] - top[:, 0] < (np.inf if self.threshold is None else self.threshold))

    def save(self, folder: Path, config: TrainConfig) -> None:
        """Writes the head and the threshold into a run directory."""
        weights = config.search.student_weights
        values = {
            "schema": _SCHEMA,
            "version": __version__,
            "model": config.search.student,
            "weights_sha256": file_sha256(weights) if weights else "",
            "canvas": self.canvas.to_json(),
            "threshold": self.threshold,
            "output": self.output.to_json(),
        }
        save_state(folder / FILE, {"threshold": torch.tensor(self.threshold or 0.0)}, values)

    @classmethod
    def load(cls, folder: Path, config: TrainConfig | None, *, device: str) -> Student:
        """Reads what `save` wrote; the model is the one that the run's configuration names.

        Raises:
            ConfigError: The run has no student, or it is never sure enough.
            PromptError: The file is damaged, or made for another model or weights.
        """
        if config is None or config.search.student is None:
            raise ConfigError(f"{folder} has no student: learn one with 'pixprompt train --student MODEL'.")
        try:
            state = load_state(folder / FILE)
        except PixpromptError as error:
            raise PromptError(f"{folder / FILE} is damaged; learn it again.") from error
        if state is None:
            raise PromptError(f"{folder / FILE} is missing.")
        net, output, threshold = cls._checked(folder / FILE, state[1], config, device)
        if threshold is None:
            raise ConfigError(f"the student of {folder} is never sure enough: asking the model always is worth more.")
        return cls(net, output, threshold)

    @staticmethod
    def _checked(
        path: Path, values: dict[str, Any], config: TrainConfig, device: str
    ) -> tuple[LocalFeatures, OutputTransform, float | None]:
        name, weights = str(config.search.student), config.search.student_weights
        if values.get("schema") != _SCHEMA:
            raise PromptError(f"{path} has schema {values.get('schema')}; this version reads schema {_SCHEMA}.")
        if values.get("model") != name or values.get("weights_sha256") != (file_sha256(weights) if weights else ""):
            raise PromptError(f"{path} was learned on {values.get('model')} with other weights than the run names.")
        check_trusted({"student": name}, path)
        net = LocalFeatures(load_model(name, weights=weights, device=device))
        try:
            threshold = values["threshold"]
            output = output_from_json(values["output"], spec=net.spec)
            return net, output.to("cpu"), None if threshold is None else float(threshold)
        except (KeyError, TypeError, ValueError) as error:
            raise PromptError(f"{path} is damaged ({error}); learn it again.") from error
