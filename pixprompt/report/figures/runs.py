"""Runs to draw side by side: adapters inside one model, and the test images that all of them leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...adapters import WhiteBox
from ...canvas import Canvas
from ...core import ConfigError, Model
from ...data import Data, ImageSet, load_data
from ...engine import TrainConfig, deploy
from ...engine.config.train_config import run_config
from ...engine.inputs.trust import check_trusted
from ...engine.saved.adapted_model import AdaptedModel
from ...models import TorchModel
from ..run_files import read_runs

__all__ = ["AdapterRuns", "open_adapter_runs"]


@dataclass(frozen=True, eq=False)
class AdapterRuns:
    """Runs of one model on one data set.

    Attributes:
        adapters: Title of the run -> adapter in evaluation mode, in the order of the runs.
        model: The frozen model that all of them share.
        canvas: How an image becomes what the model sees.
        workers: Threads that decode images.
        test: Images that none of the runs has learned from.
        classes: K names.
    """

    adapters: dict[str, WhiteBox]
    model: TorchModel
    device: str
    canvas: Canvas
    workers: int
    test: ImageSet
    classes: tuple[str, ...]


def open_adapter_runs(
    folders: Sequence[str | Path], *, model: str | Model | None = None, weights: str | None = None, device: str = "auto"
) -> AdapterRuns:
    """Opens run directories; the model is loaded once.

    Args:
        folders: Of runs whose methods are fitted inside the model; at least one.
        model: Instead of the runs' own; a name or a model.
        weights: Weights file of a model given by name.

    Raises:
        ConfigError: A folder is no such run, or the runs are of different models, data sets or test images.
        PromptError: A run was learned inside another backbone.
    """
    runs = read_runs(folders)
    configs = {run.name: run_config(run.folder) for run in runs}
    _check(configs, own_model=model is None)
    titles = _titles(configs)
    adapters: dict[str, WhiteBox] = {}
    canvases: dict[str, Canvas] = {}
    place = device
    for run in runs:
        deployed = deploy(run.folder, model=model, weights=weights, device=device)
        adapted = deployed.model.model
        if not isinstance(adapted, AdaptedModel):
            raise ConfigError(f"{run.name} holds no adapter that was fitted inside a model.")
        adapters[titles[run.name]], canvases[run.name] = adapted.adapter, deployed.prompt.pages[0].canvas
        model, place = adapted.adapter.model, deployed.device
    data = _same_data(configs)
    _check_same("image settings", {name: str(canvas.to_json()) for name, canvas in canvases.items()})
    for title, adapter in adapters.items():
        if adapter.output.classes != data.classes:
            raise ConfigError(f"{title} tells other classes apart than the data set has; they must agree, in order.")
    first = next(iter(adapters.values())).model
    canvas = next(iter(canvases.values()))
    workers = next(iter(configs.values())).data.workers
    return AdapterRuns(adapters, first, place, canvas, workers, data.test, data.classes)


def _check(configs: dict[str, TrainConfig], *, own_model: bool) -> None:
    for name, config in configs.items():
        if not config.method.white_box:
            raise ConfigError(
                f"{name} is a run of method {config.method.name!r}, which learns nothing inside the model. These "
                "pictures are about methods that do; 'pixprompt report' shows all others."
            )
    if own_model:
        _check_same("models", {name: config.model.name for name, config in configs.items()})
    _check_same("data sets", {name: config.data.name for name, config in configs.items()})


def _check_same(what: str, values: dict[str, str]) -> None:
    (first, value), *others = values.items()
    for name, other in others:
        if other != value:
            raise ConfigError(
                f"the runs have different {what}: {first} has {value}, {name} has {other}. Draw runs that agree."
            )


def _same_data(configs: dict[str, TrainConfig]) -> Data:
    """Returns the data of the runs, whose test images are those of all: a split may hang on the seed."""
    loaded: dict[tuple[int, int | None], Data] = {}
    for name, config in configs.items():
        check_trusted({"data": config.data.name}, name)
        key = (config.seed, config.data.shots)
        data = loaded[key] = loaded.get(key) or load_data(config.data.name, seed=config.seed, **config.data.subset)
        if data.test.keys != next(iter(loaded.values())).test.keys:
            raise ConfigError(
                f"{name} was tested on other images than {next(iter(configs))}: the seed {config.seed} splits the "
                "data otherwise. Draw runs of one seed, or of data with a test split of its own."
            )
    return next(iter(loaded.values()))


def _titles(configs: dict[str, TrainConfig]) -> dict[str, str]:
    """Returns the method of each run; with the seed where two share it, and the run's name where two share both."""
    methods = {name: config.method.name for name, config in configs.items()}
    seeded = {
        name: f"{methods[name]}, seed {config.seed}" if _shared(methods, name) else methods[name]
        for name, config in configs.items()
    }
    return {name: name if _shared(seeded, name) else title for name, title in seeded.items()}


def _shared(titles: dict[str, str], name: str) -> bool:
    return Counter(titles.values())[titles[name]] > 1
