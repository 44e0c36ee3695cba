"""What a saved prompt is loaded from: a run, which may name what the user has named, or a file, which may not."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from ...core import ConfigError, Model, UnknownName
from ...files import file_sha256
from ...sharing import LEARNED_FILES, find_file, local_path
from ..config.train_config import TrainConfig, run_config
from ..inputs.opening import Calls, is_remote, names_hub, open_model
from ..inputs.trust import check_trusted

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Where a prompt or an adapter lies.

    Attributes:
        path: The folder of a run, or a file.
        config: Of the run; None for a file, whose word alone opens no code, no address and no repository.
    """

    path: Path
    config: TrainConfig | None

    @classmethod
    def of(cls, source: str | Path) -> Source:
        """Finds out what a path, or hf:OWNER/NAME, leads to; a folder without a configuration holds files alone.

        Raises:
            ConfigError: It is a run that is not finished.
            PixpromptError: There is nothing that was learned.
        """
        path = local_path(source)
        if not path.is_dir():
            return cls(path, None)
        if not (path / "config.json").exists() and any((path / name).exists() for name in LEARNED_FILES):
            return cls(find_file(path), None)
        config = run_config(path)
        if not (path / "result.json").exists():
            raise ConfigError(f"{path} is not finished; finish the run with: pixprompt train --resume {path}")
        return cls(path, config)

    def file(self, name: str) -> Path:
        """Returns the path of what was learned, by its name in a run."""
        return self.path / name if self.config else self.path

    def open_model(
        self,
        learned_for: str,
        weights_sha256: str,
        *,
        name: str | None,
        weights: str | None,
        device: str,
        calls: Calls | None,
    ) -> Model:
        """Opens the model that was asked for, or the one that was learned for.

        Args:
            learned_for: Name of that one, as the file says.
            weights_sha256: Digest of its weights file, as the file says; empty where there was none.
            name: What the user asked for; None for that one.
            weights: The weights file that the user gave.

        Raises:
            ConfigError: A file names what only the user may name, or the weights are other ones.
        """
        own = name is None
        if own and self.config is not None:
            check_trusted(self.config.options(), self.path, except_for=("data",))
            name, weights = self.config.model.name, weights or self.config.model.weights
        elif own:
            _check_harmless(learned_for)
        if own and weights_sha256 and (weights is None or file_sha256(weights) != weights_sha256):
            raise ConfigError(
                f"the prompt was learned for {learned_for} with a weights file of its own (SHA-256 "
                f"{weights_sha256[:12]}...); give that file with --weights, or say --model to try another model."
            )
        try:
            return open_model(name or learned_for, weights=weights, device=device, calls=calls)
        except UnknownName as error:
            hint = " If it was learned for an object of yours, pass that object as the model." if own else ""
            raise ConfigError(f"{error}{hint}") from error


def _check_harmless(model: str) -> None:
    """Refuses names that lead to code, to a repository of somebody's choice, or to an address.

    Raises:
        ConfigError: It is one of these.
    """
    for leads, what in (
        (model.startswith("python:"), "which is code to run, and a file must not decide that. If you trust it"),
        (names_hub(model), "a model from a hub, and a file must not decide what is downloaded. If you trust it"),
        (is_remote(model), "and a file must not decide where images are sent. If you want to send them there"),
    ):
        if leads:
            raise ConfigError(f"the prompt was learned for {model}, {what}: --model {shlex.quote(model)}")
