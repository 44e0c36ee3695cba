"""Means over seeds with intervals, published numbers beside them, and comparisons image by image."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..intervals import combined_interval, mean_interval, paired_difference, wilson
from .benchmark import Benchmark, Cell, Entry
from .scores import DEFAULT_SCORES, SCORES

__all__ = ["Row", "Summary", "Value", "summarize"]

Line = Mapping[str, Any]
Seeds = Mapping[tuple[int, int], float]
"""(Seed of the run, number of the training within it) -> value."""

_MEAN_OF_GROUPS = "mean of the groups"


@dataclass(frozen=True)
class Value:
    """What was measured of one row and column.

    Attributes:
        mean: Over the seeds; shares lie in [0, 1].
        interval: 95%: by the seeds where there are two or more, by the test images where there is one.
        kept: The mean of what the runs saved, where that is not what the method learned.
        published: What a paper says, in units of `mean`.
        certainty: Of what is published.
        gain: Difference to the baseline on the same test images, with its 95% interval.
        is_share: Whether it is shown in percent.
        missing: Cells of a mean that have no result.
    """

    mean: float | None
    seeds: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None
    kept: float | None = None
    published: float | None = None
    certainty: str = ""
    gain: tuple[float, float, float] | None = None
    is_share: bool = True
    missing: int = 0


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        parts: Axis -> name; of a mean over data sets, the name of their group.
        data: The data sets; several for a mean, none where the benchmark has none.
        is_mean: Whether it is a mean over data sets.
    """

    label: str
    parts: Mapping[str, str]
    data: tuple[str, ...]
    is_mean: bool


@dataclass(frozen=True)
class Summary:
    """The table: rows, columns, values; `done` of `total` runs have a result."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    values: Mapping[tuple[str, str], Value]
    done: int
    total: int

    def __getitem__(self, place: tuple[str, str]) -> Value:
        return self.values.get(place, Value(None))


def summarize(benchmark: Benchmark, cells: Sequence[tuple[Cell, str]], results: Mapping[str, Line]) -> Summary:
    """Returns the table of a benchmark from the results that there are.

    Args:
        cells: Its cells, each with the key of its run.
        results: Key of a run -> its line.
    """
    table = _Table(benchmark, cells, results)
    rows = tuple(_rows(benchmark))
    values = {(row.label, column): table.value(row, column) for row in rows for column in benchmark.methods}
    keys = {key for _, key in cells}
    return Summary(rows, tuple(benchmark.methods), values, len(keys & results.keys()), len(keys))


def _rows(benchmark: Benchmark) -> Iterator[Row]:
    outer = [axis for axis in benchmark.rows if axis != "data"]
    for parts in _products(benchmark, outer):
        names = tuple(benchmark.data)
        means = {**benchmark.groups} or ({"mean": names} if len(names) > 1 or benchmark.mean_over else {})
        if not benchmark.mean_over:
            for name in names or ("",):
                own = {**parts, "data": name} if "data" in benchmark.rows else parts
                yield Row(_label(own), own, (name,) if name else (), False)
        for name, members in means.items() if "data" in benchmark.rows or benchmark.mean_over else ():
            own = {**parts, "data": name} if len(means) > 1 or not outer or not benchmark.mean_over else parts
            yield Row(_label(own), own, members, True)
        if len(means) > 1 and not benchmark.mean_over:
            own = {**parts, "data": _MEAN_OF_GROUPS}
            yield Row(_label(own), own, names, True)


def _products(benchmark: Benchmark, axes: Sequence[str]) -> Iterator[dict[str, str]]:
    if not axes:
        yield {}
        return
    for name in getattr(benchmark, axes[0]):
        for rest in _products(benchmark, axes[1:]):
            yield {axes[0]: name, **rest}


def _label(parts: Mapping[str, str]) -> str:
    return " · ".join(parts.values()) or "all"


class _Table:
    def __init__(self, benchmark: Benchmark, cells: Sequence[tuple[Cell, str]], results: Mapping[str, Line]) -> None:
        self._benchmark = benchmark
        self._cells: dict[tuple[str, ...], list[tuple[int, str, Line | None]]] = {}
        for cell, key in cells:
            place = tuple(cell.place.get(axis, "") for axis in ("models", "vary", "data", "methods"))
            self._cells.setdefault(place, []).append((cell.seed, cell.score, results.get(key)))

    def value(self, row: Row, column: str) -> Value:
        method = self._benchmark.methods[column]
        seeds, missing = self._seeds(row, column)
        shared = {"published": None, "certainty": "", **self._published(row, column)}
        score = method.score or DEFAULT_SCORES[method.task or self._benchmark.task]
        is_share = SCORES[score].is_share if not method.minus else True
        values = tuple(seeds.values())
        if not values:
            return Value(None, missing=missing, is_share=is_share, **shared)
        kept = None
        if score == "own" and not method.minus:
            saved = tuple(self._seeds(row, column, score="kept")[0].values())
            kept = statistics.fmean(saved) if saved and saved != values else None
        return Value(
            statistics.fmean(values),
            values,
            mean_interval(values) if len(values) > 1 else self._interval(row, column, next(iter(seeds)), score),
            kept,
            gain=self._gain(row, column),
            is_share=is_share,
            missing=missing,
            **shared,
        )

    def _seeds(self, row: Row, column: str, score: str | None = None) -> tuple[Seeds, int]:
        """Returns the mean over the row's data sets for every seed of which all are there, and how many are missing."""
        method = self._benchmark.methods[column]
        if method.minus:
            (first, lost), (second, also_lost) = (self._seeds(row, name) for name in method.minus)
            return {seed: first[seed] - second[seed] for seed in first if seed in second}, lost + also_lost
        if _is_mean_of_groups(row):
            return self._mean_of_groups(row, column, score)
        scores = [self._of_data(row, name, column, score) for name in row.data or ("",)]
        missing = sum(not each for each in scores)
        common = set.intersection(*(set(each) for each in scores if each)) if missing < len(scores) else set()
        return {seed: statistics.fmean(each[seed] for each in scores if each) for seed in sorted(common)}, missing

    def _mean_of_groups(self, row: Row, column: str, score: str | None) -> tuple[Seeds, int]:
        groups = self._benchmark.groups.values()
        of_groups = [self._seeds(Row("", {"data": ""}, names, True), column, score) for names in groups]
        common = set.intersection(*(set(seeds) for seeds, _ in of_groups))
        means = {seed: statistics.fmean(seeds[seed] for seeds, _ in of_groups) for seed in sorted(common)}
        return means, sum(missing for _, missing in of_groups)

    def _of_data(self, row: Row, data: str, column: str, score: str | None) -> Seeds:
        values: dict[tuple[int, int], float] = {}
        for seed, own, line in self._lines(row, data, column):
            if line is not None:
                read = SCORES[score or own].read(line["result"])
                values |= {(seed, number): value for number, value in enumerate(read)}
        return values

    def _lines(self, row: Row, data: str, column: str) -> list[tuple[int, str, Line | None]]:
        benchmark = self._benchmark
        models, vary = (row.parts.get(axis) or next(iter(getattr(benchmark, axis)), "") for axis in ("models", "vary"))
        return self._cells.get((models, vary, data, column), [])

    def _interval(self, row: Row, column: str, only: tuple[int, int], score: str) -> tuple[float, float] | None:
        """Returns the interval of a single share, of a mean of some or of a gain, by the number of test images."""
        method = self._benchmark.methods[column]
        if method.minus:
            gain = self._gain(row, method.minus[0]) if method.minus[1] == self._benchmark.baseline else None
            return gain and gain[1:]
        if not SCORES[score].rung or _is_mean_of_groups(row):
            return None
        parts = []
        for data in row.data or ("",):
            lines = {seed: line for seed, _, line in self._lines(row, data, column)}
            value, line = self._of_data(row, data, column, score).get(only), lines.get(only[0])
            if value is not None and line is not None:
                total = int(line["result"]["counts"].get("test") or 0)
                parts.append((value, *wilson(round(value * total), total)))
        return combined_interval(parts)[1:]

    def _published(self, row: Row, column: str) -> dict[str, Any]:
        parts = []
        for axis, name in row.parts.items():
            entry: Entry | None = getattr(self._benchmark, axis).get(name)
            parts.append(entry.like or name if entry else name)
        like = self._benchmark.methods[column].like or column
        for block in self._benchmark.published:
            for label in (" · ".join(parts), parts[-1] if parts else ""):
                if like in block.rows.get(label, {}):
                    method = self._benchmark.methods[column]
                    score = method.score or DEFAULT_SCORES[method.task or self._benchmark.task]
                    unit = 100 if SCORES[score].is_share else 1
                    return {"published": block.rows[label][like] / unit, "certainty": block.certainty}
        return {}

    def _gain(self, row: Row, column: str) -> tuple[float, float, float] | None:
        """Compares with the baseline on the same test images, where that is possible on every data set of the row."""
        base = self._benchmark.baseline
        if not base or column == base or self._benchmark.methods[column].minus or _is_mean_of_groups(row):
            return None
        gains = [self._gain_on(row, data, column) for data in row.data or ("",)]
        return combined_interval([gain for gain in gains if gain]) if all(gains) else None

    def _gain_on(self, row: Row, data: str, column: str) -> tuple[float, float, float] | None:
        """Compares by Student's t from three seeds on, else by counts."""
        counts = []
        others = {seed: (score, line) for seed, score, line in self._lines(row, data, self._benchmark.baseline)}
        for seed, score, line in self._lines(row, data, column):
            right = [_right(*pair) for pair in ((score, line), others.get(seed, (score, None)))]
            if right[0] is not None and right[1] is not None and right[0][0] == right[1][0]:
                after, before = (each[1] for each in right if each is not None)
                kinds = (after & ~before, before & ~after, after & before)
                counts.append([*(int(kind.sum()) for kind in kinds), _num(line)])
        if not counts:
            return None
        changes = [(gained - lost) / total for gained, lost, _, total in counts]
        if len(changes) > 2:
            return statistics.fmean(changes), *mean_interval(changes)
        low, high = paired_difference(*map(sum, zip(*counts, strict=True)))
        return statistics.fmean(changes), low, high


def _is_mean_of_groups(row: Row) -> bool:
    return row.is_mean and row.parts.get("data") == _MEAN_OF_GROUPS


def _num(line: Line | None) -> int:
    return 0 if line is None else int(line["result"]["counts"]["test"])


def _right(score: str, line: Line | None) -> tuple[str, npt.NDArray[np.bool_]] | None:
    """Returns the digest of the test images, and which of them are right."""
    rung = SCORES[score].rung
    if line is None or not line.get("test") or rung not in line["test"]["right"]:
        return None
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(line["test"]["right"][rung]), np.uint8))
    return line["test"]["images"], bits.astype(bool)
