"""What `--method` chooses: one value per method, which says all that others need to know without making anything."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from ..core import Access
from ..registry import Registry
from ..settings import Settings

__all__ = ["ADAPTER_FILE", "METHODS", "RECIPE", "Grid", "Learning", "Method", "MethodSettings", "register"]

ADAPTER_FILE = "adapter.safetensors"
RECIPE: Mapping[str, Any] = MappingProxyType(
    {"optimizer": "adamw", "lr": 0.003, "epochs": 30, "batch_size": 32, "warmup": 50}
)
"""The defaults of white-box methods, by measurement (experiments/vpt)."""


class Learning(StrEnum):
    """What a method learns from."""

    GRADIENTS = "gradients"
    """Gradients where the model gives them; answers where it does not, or where a budget is set."""
    GRADIENTS_ALONE = "gradients alone"
    """Gradients that the model gives."""
    ANSWERS = "answers"
    """Answers alone."""
    WHITE_BOX = "white-box"
    """Gradients, from within the model."""


@dataclass(frozen=True)
class MethodSettings(Settings):
    """A base of a method's own settings."""

    family: ClassVar[str] = ""
    """The methods that have these settings, as the help of their options names them."""

    def check(self) -> None:
        """Makes sure that a run can begin with these settings.

        Raises:
            ConfigError: It cannot.
        """


@dataclass(frozen=True)
class Grid:
    """What `--search` tries.

    Attributes:
        rates: Learning rates of AdamW, whatever the batch size; None for the VPT paper's, scaled to the batch size.
    """

    optimizer: str = "adamw"
    rates: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Method:
    """A way to adapt a model.

    Attributes:
        make: "module:attribute" of what makes it, so that this value costs no import of torch; see `maker`.
        arguments: Arguments of `make` that distinguish this method from others with the same `make`.
        file: The file that holds what was learned; None where nothing is.
        per_image: Whether that is another prompt for each image.
        defaults: What learning by gradients has where the user says nothing, by the names of the options.
        head_defaults: The same where a linear head is learned along, as beside classifiers; empty for no difference.
        answer_defaults: The same of learning from answers alone.
        presets: Name of a preset -> its settings.
        idle: Options of a search by answers that do nothing with it.
        grid: What `--search` tries.
        least_batch: Images that a step needs.
    """

    name: str
    line: str
    learning: Learning = Learning.WHITE_BOX
    make: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settings: type[MethodSettings] = MethodSettings
    file: str | None = ADAPTER_FILE
    per_image: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    head_defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    answer_defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    idle: tuple[str, ...] = ()
    grid: Grid = Grid()
    least_batch: int = 1

    @property
    def white_box(self) -> bool:
        """Whether it learns from within the model."""
        return self.learning is Learning.WHITE_BOX

    @property
    def access(self) -> Access:
        """What it needs of the model at least."""
        if self.learning is Learning.GRADIENTS_ALONE:
            return Access.GRADIENTS
        return Access.INTERNALS if self.white_box else Access.SCORES

    def maker(self) -> Callable[..., Any]:
        """Imports and returns what makes it; it takes those of the method's own settings that are not None.

        Of a white-box method it takes model, classes and generator besides, and returns a `WhiteBox`; of one that
        learns from answers the template (with `per_image` the device, too), and returns a `Prompter`; of the others
        what `PixelPrompt` takes, and returns one.
        """
        module, _, attribute = self.make.partition(":")
        return partial(getattr(importlib.import_module(module), attribute), **self.arguments)


METHODS: Registry[Method] = Registry(
    "method",
    group="pixprompt.methods",
    needs="learning",
    rename=lambda method, name: replace(method, name=name),
)


def register(method: Method) -> Method:
    """Makes a method known under its name, and returns it.

    Raises:
        ConfigError: The name is taken.
    """
    return METHODS.register(method.name, method.line)(method)
