"""Several runs side by side; runs that differ in their seed alone are one line with mean and deviation."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from ..run_files import RunFiles
from .environment import percent
from .numbers import rung_titles, spending_charts, track
from .views import View
from .white_box import test_accuracies

__all__ = ["anchor", "comparison", "group_by_settings"]

_ASIDE = frozenset({"seed", "device", "workers", "price_per_1000"})
"""Settings that a comparison is not about."""


def anchor(run: RunFiles) -> str:
    """Returns the place of a run in the page."""
    return "run-" + "".join(sign if sign.isalnum() else "-" for sign in run.name)


def group_by_settings(runs: Sequence[RunFiles]) -> list[list[RunFiles]]:
    """Groups runs whose settings differ in the seed alone, in order of first appearance; one without settings alone."""
    groups: dict[str, list[RunFiles]] = defaultdict(list)
    for run in runs:
        compared = {name: value for name, value in run.settings.items() if name not in _ASIDE}
        groups[json.dumps(compared, sort_keys=True) if run.config else f"alone {run.folder}"].append(run)
    return list(groups.values())


def comparison(runs: Sequence[RunFiles], link: Callable[[RunFiles], str] | None = None) -> View:
    """Compares runs: a table by settings, one by run, and accuracy against queries in one plot.

    Args:
        runs: Two or more.
        link: Returns where a run is described; by default further down on the same page.
    """
    titles = rung_titles(runs)
    tracks = [run_track for run_track in map(track, runs) if run_track is not None]
    return {
        "titles": titles,
        "groups": [
            {
                "difference": _difference(group[0], runs),
                "seeds": sum(_num_seeds(run) for run in group),
                "scores": [_spread(group, rung) for rung in titles],
            }
            for group in group_by_settings(runs)
        ],
        "runs": [
            {
                "name": run.name,
                "link": link(run) if link else f"#{anchor(run)}",
                "seed": run.result.seed if run.result else run.settings.get("seed"),
                "scores": [run.result.accuracy.get(rung) if run.result else None for rung in titles],
                "queries": run.result.queries if run.result else {},
            }
            for run in runs
        ],
        "charts": spending_charts(tracks) if tracks else [],
    }


def _difference(run: RunFiles, runs: Sequence[RunFiles]) -> str:
    """Names the settings in which a run differs from others."""
    if run.config is None:
        return f"{run.name} (settings not known)"
    differing = [
        f"{name} {'not set' if value is None else value}"
        for name, value in run.settings.items()
        if name not in _ASIDE and len({json.dumps(other.settings.get(name)) for other in runs}) > 1
    ]
    return ", ".join(differing) or run.title


def _num_seeds(run: RunFiles) -> int:
    return len(run.result.search["seeds"]) if run.result and run.result.search else 1


def _spread(group: Sequence[RunFiles], rung: str) -> str:
    """Returns mean and sample standard deviation of a rung's test accuracy over the runs of a group."""
    by_run = [test_accuracies(run, rung) for run in group]
    values = [accuracy for accuracies in by_run for accuracy in accuracies]
    if not values:
        return percent(None)
    scored = sum(map(bool, by_run))
    share_scored = "" if scored == len(group) else f" ({scored} of {len(group)})"
    if len(values) == 1:
        return percent(values[0]) + share_scored
    return f"{statistics.mean(values):.1%} ± {100 * statistics.stdev(values):.1f}{share_scored}"
