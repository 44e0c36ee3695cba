"""Several runs side by side; runs that differ in their seed alone are one line with mean and deviation."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ...plots import spending_figure, to_svg
from ..run_files import RunFiles
from .adapter import tests_of
from .markup import Html, chart, element, figure, join, table
from .sections import absent, titles_of, track
from .words import count, percent

__all__ = ["anchor", "comparison", "group_by_settings"]

_ASIDE = frozenset({"seed", "device", "workers", "price_per_1000"})
"""Settings that are not what a comparison is about."""


def group_by_settings(runs: Sequence[RunFiles]) -> list[list[RunFiles]]:
    """Groups runs whose settings differ in the seed alone, in order of first appearance; one without settings alone."""
    groups: dict[str, list[RunFiles]] = defaultdict(list)
    for run in runs:
        told = {name: value for name, value in (run.config or {}).items() if name not in _ASIDE}
        groups[json.dumps(told, sort_keys=True) if run.config else f"alone {run.folder}"].append(run)
    return list(groups.values())


def comparison(runs: Sequence[RunFiles]) -> Html:
    """Compares runs: a table by settings, one by run, and accuracy against queries in one plot."""
    groups = group_by_settings(runs)
    titles = titles_of(runs)
    head = ("settings", "seeds", *(f"{title}, test" for title in titles.values()))
    rows = [
        (_difference(group[0], runs), _num_seeds(group), *(_spread(group, rung) for rung in titles)) for group in groups
    ]
    told = "Test accuracy. Runs that differ in their seed alone share a line: mean ± sample standard deviation."
    each = [_each(run, titles) for run in runs]
    each_head = ("run", "seed", *(f"{title}, test" for title in titles.values()), "queries", "cost")
    return join([element("p", told), table(head, rows), table(each_head, each), _spending(runs)])


def _difference(run: RunFiles, runs: Sequence[RunFiles]) -> str:
    """Names the settings in which a run differs from others."""
    config = run.config
    if config is None:
        return f"{run.name} (settings not known)"
    names = [name for name in config if name not in _ASIDE and len({_told(other, name) for other in runs}) > 1]
    told = (f"{name} {'not set' if config[name] is None else config[name]}" for name in names)
    return ", ".join(told) or run.title


def _told(run: RunFiles, name: str) -> str:
    return json.dumps((run.config or {}).get(name))


def _num_seeds(group: Sequence[RunFiles]) -> str:
    return str(sum(len(run.result.search["seeds"]) if run.result and run.result.search else 1 for run in group))


def _spread(group: Sequence[RunFiles], rung: str) -> str:
    found = [tests_of(run, rung) for run in group]
    known = [test for tests in found for test in tests]
    if not known:
        return "–"
    scored = sum(map(bool, found))
    left_out = "" if scored == len(group) else f" ({scored} of {len(group)})"
    if len(known) == 1:
        return percent(known[0]) + left_out
    return f"{statistics.mean(known):.1%} ± {100 * statistics.stdev(known):.1f}{left_out}"


def _each(run: RunFiles, rungs: Iterable[str]) -> tuple[Html | str, ...]:
    link = element("a", run.name, href=f"#{anchor(run)}")
    result = run.result
    if result is None:
        return (link, str((run.config or {}).get("seed", "–")), *("–" for _ in rungs), "–", "–")
    scores: list[Html | str] = []
    for rung in rungs:
        score = result.accuracy.get(rung)
        interval = f"{score.ci95[0]:.1%} – {score.ci95[1]:.1%}" if score and score.ci95 else ""
        scores.append(join([percent(score.test), element("small", interval)]) if score else "–")
    cost = result.queries.get("cost")
    return link, str(result.seed), *scores, count(result.queries.get("images")), "–" if cost is None else f"{cost:g}"


def _spending(runs: Sequence[RunFiles]) -> Html:
    tracks = [grown for grown in map(track, runs) if grown is not None]
    if not tracks:
        return absent("accuracy against queries: no history says what was asked and reached.")
    caption = "Validation accuracy of each run against the images asked so far"
    caption += ", and against what they cost." if all(grown.price is not None for grown in tracks) else "."
    alt = "; ".join(f"{grown.name}: {percent(grown.accuracy[-1])} after {count(grown.queries[-1])}" for grown in tracks)
    return figure(chart(to_svg(spending_figure(tracks)), f"Accuracy against queries. {alt}."), caption)


def anchor(run: RunFiles) -> str:
    """Returns the place of a run in the page."""
    return "run-" + "".join(sign if sign.isalnum() else "-" for sign in run.name)
