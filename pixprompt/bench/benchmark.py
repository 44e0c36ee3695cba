"""A benchmark: models x data x methods x what is varied x seeds, in the words of `train`, and what a paper found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..core import ConfigError
from ..registry import suggest
from .scores import DEFAULT_SCORES, SCORES

__all__ = ["AXES", "DRAWINGS", "Benchmark", "Cell", "Entry", "Published", "parse_benchmark"]

AXES = ("models", "data", "methods", "vary")
DRAWINGS = ("dots", "bars", "lines", "scatter", "features", "saliency", "alignment")
"""How the result is drawn; the last three are pictures of what the runs have learned."""
TASKS = ("train", "segment", "diagnose")
_ROWS = ("models", "vary", "data")
_NAMES = {"models": "model", "data": "data", "methods": "method"}
"""Axis -> the setting that a plain list of names gives."""
_MINIATURE = ("models", "data", "methods", "vary", "groups", "when", "seeds", "baseline", "unlike", "axis", "x", "y")


@dataclass(frozen=True)
class Entry:
    """One model, data set, method, or value of what is varied.

    Attributes:
        name: In tables and figures.
        settings: In the words of the task.
        like: Whose published numbers stand beside it; its own name by default.
        folder: Of a data set, images by class below "train" and "test", of which the first ones are taken.
        train: Images per class that are taken of `folder` to learn from.
        test: Images per class that are taken of `folder` to test on.
        score: Of a method: what is read from the result, of SCORES.
        minus: Of a method: two others, of which it is the difference; it is not run.
        task: Of a method: another one than the benchmark's; the benchmark's settings do not count then.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""
    folder: str = ""
    train: int = 0
    test: int = 0
    score: str = ""
    minus: tuple[str, ...] = ()
    task: str = ""


@dataclass(frozen=True)
class Published:
    """Numbers of a paper.

    Attributes:
        source: Where they were read.
        certainty: "read", "derived" from what was read, or "remembered" and not verified.
        rows: Row -> column -> value as printed, in percent.
    """

    source: str
    certainty: str
    rows: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Cell:
    """One number of a benchmark, for one seed.

    Attributes:
        place: Axis -> the entry's name.
        task: What runs.
        settings: Of the run, as the file says them.
        score: What is read from its result.
        images: The data entry, where its images are listed first.
    """

    place: Mapping[str, str]
    seed: int
    task: str
    settings: Mapping[str, Any]
    score: str
    images: Entry | None = None

    @property
    def name(self) -> str:
        """Returns what tells it from others."""
        return ", ".join([*self.place.values(), f"seed {self.seed}"])


@dataclass(frozen=True)
class Benchmark:
    """A table or figure.

    Attributes:
        claim: What the paper says that it shows.
        unlike: How this differs from the paper's.
        task: Of its cells, of TASKS.
        draw: Of DRAWINGS.
        axis: What is varied, as the axis of a plot says it.
        mean_over: "data" where a group of data sets is one row.
        baseline: The method that others are compared with, on the same test images.
        methods: The columns.
        vary: Values of what is varied.
        groups: Name -> data sets, whose mean is a row.
        when: Settings for some cells only: {"data": [...], "methods": [...], "settings": {...}} or "skip".
        x: Columns across a scatter plot, a panel each.
        y: The column that it shows against them.
        rows: Axes that a row stands for.
        small: Whether it is the miniature.
    """

    name: str
    title: str
    source: str = ""
    claim: str = ""
    unlike: str = ""
    task: str = "train"
    draw: str = "dots"
    axis: str = ""
    mean_over: str = ""
    baseline: str = ""
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Entry] = field(default_factory=dict)
    data: Mapping[str, Entry] = field(default_factory=dict)
    methods: Mapping[str, Entry] = field(default_factory=dict)
    vary: Mapping[str, Entry] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    when: tuple[Mapping[str, Any], ...] = ()
    published: tuple[Published, ...] = ()
    x: tuple[str, ...] = ()
    y: str = ""
    rows: tuple[str, ...] = ()
    small: bool = False
    reduced: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def miniature(self) -> Benchmark:
        """Returns the same with the models, data, seeds and settings of its `[miniature]` part.

        Raises:
            ConfigError: It has none, which says why.
        """
        if not self.reduced:
            raise ConfigError(f"benchmark {self.name!r} has no miniature.")
        if "missing" in self.reduced:
            raise ConfigError(f"benchmark {self.name!r} has no miniature: {self.reduced['missing']}")
        values = {key: _READERS[key](key, value) for key, value in self.reduced.items() if key != "settings"}
        settings = {**self.settings, **_settings("settings", self.reduced.get("settings", {}))}
        own = replace(self, **values, settings=settings, small=True)
        own = replace(own, rows=tuple(axis for axis in _ROWS if axis in self.rows or len(getattr(own, axis)) > 1))
        _check(own)
        return own

    def cells(self) -> list[Cell]:
        """Returns every cell, in the order of the axes."""
        return [cell for seed in self.seeds for cell in self._of_seed(seed)]

    def _of_seed(self, seed: int) -> Iterator[Cell]:
        axes = {axis: list(getattr(self, axis).values()) for axis in AXES if getattr(self, axis)}
        for entries in itertools.product(*axes.values()):
            chosen = dict(zip(axes, entries, strict=True))
            place = {axis: entry.name for axis, entry in chosen.items()}
            method = chosen["methods"]
            conditions = [each for each in self.when if _holds(each, place)]
            if method.minus or any(each.get("skip") for each in conditions):
                continue
            task = method.task or self.task
            own = self.settings if task == self.task else {}
            parts = [own, *(entry.settings for entry in entries), *(each.get("settings", {}) for each in conditions)]
            settings = {name: value for part in parts for name, value in part.items()}
            images = chosen.get("data")
            yield Cell(
                place,
                seed,
                task,
                {**settings, "seed": seed},
                method.score or DEFAULT_SCORES[task],
                images if images is not None and images.folder else None,
            )


def _holds(condition: Mapping[str, Any], place: Mapping[str, str]) -> bool:
    return all(place.get(axis) in condition[axis] for axis in AXES if axis in condition)


def parse_benchmark(name: str, values: Any) -> Benchmark:
    """Reads what a benchmark file holds.

    Raises:
        ConfigError: A key is unknown, with a suggestion, or a value makes no sense.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"benchmark {name}: expected a table of settings, got {type(values).__name__}.")
    try:
        _check_names(values, _READERS, "benchmark")
        read = {key: _READERS[key](key, value) for key, value in values.items()}
        if "title" not in read or "methods" not in read:
            raise ConfigError("title and methods are needed.")
        benchmark = Benchmark(name, reduced=read.pop("miniature", {}), **read)
        rows = tuple(axis for axis in _ROWS if len(getattr(benchmark, axis)) > 1)
        benchmark = replace(benchmark, rows=rows or ("data",))
        _check(benchmark)
        if benchmark.reduced and "missing" not in benchmark.reduced:
            benchmark.miniature()
    except ConfigError as error:
        raise ConfigError(f"benchmark {name}: {error}") from error
    except (TypeError, AttributeError) as error:  # a number where a list or a text should be
        raise ConfigError(f"benchmark {name}: a value is of another type than its key takes ({error}).") from error
    return benchmark


def _check_names(values: Mapping[str, Any], known: Any, where: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in {where}.{suggest(key, known)} Known: {', '.join(known)}.")


def _check(benchmark: Benchmark) -> None:
    for value, known, what in (
        (benchmark.draw, DRAWINGS, "draw"),
        (benchmark.task, TASKS, "task"),
        (benchmark.mean_over, ("", "data"), "mean_over"),
        (benchmark.baseline, ("", *benchmark.methods), "baseline"),
        *((name, benchmark.methods, "minus") for each in benchmark.methods.values() for name in each.minus),
        *((name, benchmark.data, "groups") for names in benchmark.groups.values() for name in names),
        *((name, benchmark.methods, "x") for name in benchmark.x),
        (benchmark.y, ("", *benchmark.methods), "y"),
        *((each.score, ("", *SCORES), "score") for each in benchmark.methods.values()),
        *((each.task, ("", *TASKS), "task") for each in benchmark.methods.values()),
    ):
        if value not in known:
            names = [name for name in known if name]
            raise ConfigError(f"unknown {what} {value!r}.{suggest(value, names)} Known: {', '.join(names)}.")
    for name, method in benchmark.methods.items():
        if method.minus and (len(method.minus) != 2 or any(benchmark.methods[each].minus for each in method.minus)):
            raise ConfigError(f"{name}: minus takes two methods that are run, got {', '.join(method.minus)}.")
    for condition in benchmark.when:
        for axis in AXES:
            _check_names(dict.fromkeys(condition.get(axis, ())), getattr(benchmark, axis), f"when.{axis}")


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be text, got {value!r}.")
    return " ".join(value.split())


def _seeds(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(each) is int and each >= 0 for each in value):
        raise ConfigError(f"{key} must be a list of whole numbers from 0 on, got {value!r}.")
    return tuple(value)


def _table(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table, got {value!r}.")
    return value


def _settings(key: str, value: Any) -> dict[str, Any]:
    """Names may be spelled as on the command line."""
    return {name.replace("-", "_"): each for name, each in _table(key, value).items()}


def _entries(key: str, value: Any) -> Mapping[str, Entry]:
    if isinstance(value, list) and key in _NAMES:
        value = {each: {_NAMES[key]: each} for each in value}
    own = {item.name for item in fields(Entry)} - {"name", "settings"}
    entries = {}
    for name, settings in _table(key, value).items():
        special = {each: value for each, value in _table(name, settings).items() if each in own}
        if "minus" in special:
            special["minus"] = tuple(special["minus"])
        rest: dict[str, Any] = _settings(name, {each: setting for each, setting in settings.items() if each not in own})
        if "folder" in special:
            rest["data"] = f"csv:{{lists}}/{name}-{special.get('train', 0)}-{special.get('test', 0)}.csv"
        entries[name] = Entry(name, rest, **special)
    return entries


def _groups(key: str, value: Any) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(names) for name, names in _table(key, value).items()}


def _when(key: str, value: Any) -> tuple[Mapping[str, Any], ...]:
    for each in value:
        _check_names(_table(key, each), (*AXES, "settings", "skip"), key)
    return tuple({**each, "settings": _settings(key, each.get("settings", {}))} for each in value)


def _published(key: str, value: Any) -> tuple[Published, ...]:
    blocks = []
    for block in value:
        _check_names(_table(key, block), ("source", "certainty", "columns", "rows"), key)
        columns, rows = block.get("columns"), _table("rows", block.get("rows"))
        if block.get("certainty") not in ("read", "derived", "remembered"):
            raise ConfigError(f"published: certainty is read, derived or remembered, got {block.get('certainty')!r}.")
        for name, row in rows.items():
            if isinstance(row, list) and (columns is None or len(row) != len(columns)):
                raise ConfigError(f"published: row {name!r} has {len(row)} values for the columns {columns}.")
        named = {
            name: dict(zip(columns, row, strict=True)) if isinstance(row, list) else row for name, row in rows.items()
        }
        blocks.append(Published(_text("source", block.get("source")), block["certainty"], named))
    return tuple(blocks)


def _miniature(key: str, value: Any) -> Mapping[str, Any]:
    table = _table(key, value)
    _check_names(table, (*_MINIATURE, "settings", "missing"), key)
    return table


_READERS: dict[str, Any] = {
    **dict.fromkeys(
        ("title", "source", "claim", "unlike", "task", "draw", "axis", "mean_over", "baseline", "y"), _text
    ),
    "x": lambda key, value: tuple(value),
    "seeds": _seeds,
    "settings": _settings,
    **dict.fromkeys(AXES, _entries),
    "groups": _groups,
    "when": _when,
    "published": _published,
    "miniature": _miniature,
}
"""Key of a benchmark file -> what reads its value."""
