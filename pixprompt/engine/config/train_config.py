"""What a run is made of: one frozen value, in JSON and on the command line alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from ...adapters import METHODS, Method, MethodSettings
from ...core import ConfigError
from ...files import read_json
from ...registry import suggest
from ...settings import Settings, flag, option
from .groups import (
    DataSettings,
    EndpointSettings,
    FitSettings,
    ModelSettings,
    OutputSettings,
    PromptSettings,
    SearchSettings,
)

__all__ = [
    "FREE",
    "GROUPS",
    "RunSettings",
    "TrainConfig",
    "default_folder",
    "idle_option",
    "options_of_json",
    "presets",
    "run_config",
]

FREE = (
    *("budget", "max_cost", "price_per_1000", "test_images", "workers"),
    *("concurrency", "rate", "timeout", "deadline", "max_requests", "in_doubt", "durability"),
)
"""Options that may be other ones when a run is continued: what was answered stays as it is."""
GROUPS: dict[str, type[Settings]] = {
    "model": ModelSettings,
    "endpoint": EndpointSettings,
    "data": DataSettings,
    "prompt": PromptSettings,
    "output": OutputSettings,
    "fit": FitSettings,
    "search": SearchSettings,
}
"""The groups of a configuration, besides the settings of its method."""


def presets() -> tuple[str, ...]:
    """Returns the names of the presets."""
    return tuple(
        dict.fromkeys(("default", *(preset for method in METHODS.builtin() for preset in METHODS[method].presets)))
    )


@dataclass(frozen=True)
class RunSettings(Settings):
    """What stands before the groups."""

    method: str = option("pixel", "What is learned ('pixprompt methods' lists the ways).")
    preset: str = option(
        "default",
        "Recipe for what is not given: default is this tool's, vp the VP paper's, evp EVP's, attrvr AttrVR's,"
        " sa2vp-... the SA2VP paper's for one of its tasks.",
    )
    seed: int = option(0, "Seed of the splits, the order of images and the first prompt.")


@dataclass(frozen=True, init=False)
class TrainConfig:
    """All settings of a run. None means that the preset decides; `presets.resolve` fills it in.

    It is made of the options of the command line, `TrainConfig(model="rn50", method="vpt-deep", tokens=5)`, and read by
    group: `config.model.name`, `config.fit.lr`, `config.adapter`.

    Args:
        options: With "_" for "-"; `method` is a name of METHODS or a `Method`.

    Attributes:
        preset: What decides where nothing is said.
        seed: Of splits, order and first parameters.
        adapter: The method's own settings.

    Raises:
        ConfigError: There is no such option, it does nothing with the method, or its value makes no sense.
    """

    method: Method
    preset: str
    seed: int
    model: ModelSettings
    endpoint: EndpointSettings
    data: DataSettings
    prompt: PromptSettings
    output: OutputSettings
    fit: FitSettings
    search: SearchSettings
    adapter: MethodSettings

    def __init__(self, /, **options: Any) -> None:
        chosen = options.pop("method", RunSettings.method)
        method = chosen if isinstance(chosen, Method) else METHODS[str(chosen)]
        classes = _classes(method)
        values: dict[str, dict[str, Any]] = {group: {} for group in classes}
        homes = {name: (group, item.name) for group, kind in classes.items() for name, item in kind.options().items()}
        for name, value in options.items():
            if name in homes:
                group, own = homes[name]
                values[group][own] = value
            else:
                _check_foreign(name, value, method, homes)
        run = RunSettings(method.name, **values.pop("run"))
        if run.preset not in presets():
            close = suggest(run.preset, presets())
            raise ConfigError(f"unknown preset {run.preset!r}.{close} Known: {', '.join(presets())}.")
        for name, value in {"method": method, "preset": run.preset, "seed": run.seed}.items():
            object.__setattr__(self, name, value)
        for group, group_values in values.items():
            object.__setattr__(self, group, classes[group](**group_values))

    def groups(self) -> dict[str, Settings]:
        """Returns the groups, the method's own settings last."""
        return {group: getattr(self, group) for group in (*GROUPS, "adapter")}

    def options(self) -> dict[str, Any]:
        """Returns all settings by the names of their options."""
        values: dict[str, Any] = {"method": self.method.name, "preset": self.preset, "seed": self.seed}
        for settings in self.groups().values():
            values |= {name: getattr(settings, item.name) for name, item in settings.options().items()}
        return values

    def with_values(self, **options: Any) -> TrainConfig:
        """Returns a copy with other values.

        Raises:
            ConfigError: As of the class.
        """
        return TrainConfig(**{**self.options(), "method": self.method, **options})

    def with_absolute_paths(self) -> TrainConfig:
        """Returns a copy whose paths mean the same in every folder."""
        paths: dict[str, Any] = {}
        for settings in self.groups().values():
            there = settings.with_absolute_paths()
            paths |= {name: getattr(there, item.name) for name, item in there.options().items()}
        return self.with_values(**paths)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with one object per group."""
        first = {"method": self.method.name, "preset": self.preset, "seed": self.seed}
        return {**first, **{name: settings.to_json() for name, settings in self.groups().items()}}

    @classmethod
    def from_json(cls, values: Any, *, source: str | Path) -> Self:
        """Reads settings; those that are missing have their defaults.

        Args:
            values: See `options_of_json`.
            source: Named in errors.

        Raises:
            ConfigError: It is no object, or a name is not a setting, with a suggestion.
        """
        try:
            return cls(**options_of_json(values))
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error


def _classes(method: Method) -> dict[str, type[Settings]]:
    return {"run": RunSettings, **GROUPS, "adapter": method.settings}


def _check_foreign(name: str, value: Any, method: Method, known: Iterable[str]) -> None:
    """Refuses an option that the method does not have; the default of another method's option says nothing."""
    other_options = {other: METHODS[other].settings.options() for other in METHODS.builtin()}
    having = [options[name] for options in other_options.values() if name in options]
    if not having:
        names = {*known, *(each for options in other_options.values() for each in options)}
        raise ConfigError(f"unknown setting {name!r}.{suggest(name, names)}")
    if value != having[0].default:
        raise idle_option(name, method)


def idle_option(name: str, method: Method) -> ConfigError:
    """Returns the error about an option that does nothing with a method."""
    own = ", ".join(map(flag, method.settings.options()))
    options_text = f" It takes: {own}." if own else " It takes none." if method.white_box else ""
    return ConfigError(f"{flag(name)} does nothing with method {method.name!r}; leave it out.{options_text}")


def options_of_json(values: Any) -> dict[str, Any]:
    """Returns the settings in a JSON object by the names of their options.

    Args:
        values: What `TrainConfig.to_json` returned; options that a person wrote may stand outside their groups.

    Raises:
        ConfigError: It is no object, or a name in a group is not a setting.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"expected a JSON object of settings, got {type(values).__name__}.")
    classes = _classes(METHODS[str(values.get("method", RunSettings.method))])
    options: dict[str, Any] = {}
    for group, value in values.items():
        if group not in classes or not isinstance(value, dict):
            options[group] = value
            continue
        names = {item.name: option for option, item in classes[group].options().items()}
        for name, each in value.items():
            if name not in names:
                raise ConfigError(f"unknown setting {name!r} in {group!r}.{suggest(name, names)}")
            options[names[name]] = each
    return options


def run_config(folder: Path) -> TrainConfig:
    """Reads the configuration of a run directory.

    Raises:
        ConfigError: It is none.
    """
    path = folder / "config.json"
    try:
        return TrainConfig.from_json(read_json(path), source=path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is no run directory: {path.name} cannot be read ({error}).") from error


def default_folder(model: str, data: str, method: str, seed: int) -> Path:
    """Returns the run directory of a run that names none, runs/<model>-<data>-<method>-<time>-seed<seed>."""
    images = re.sub(r"^(folder|csv|ade20k):", "", data).rstrip("/").split("/")[-1]
    name = "-".join((model, images, method, datetime.now().strftime("%Y%m%d-%H%M%S"), f"seed{seed}"))
    return Path("runs") / re.sub(r"[^A-Za-z0-9._-]+", "-", name)
