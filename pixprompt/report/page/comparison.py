"""Several runs side by side; runs that differ in their seed alone are one line with mean and deviation."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from ..run_files import RunFiles
from .environment import percent, points
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
    titles, groups = rung_titles(runs), group_by_settings(runs)
    tracks = [run_track for run_track in map(track, runs) if run_track is not None]
    return {
        "titles": titles,
        "groups": [
            {
                "difference": _difference(group[0], runs),
                "seeds": sum(_num_seeds(run) for run in group),
                "scores": [_spread(group, rung) for rung in titles],
            }
            for group in groups
        ],
        "paired": [
            {"difference": _difference(group[0], runs), **paired}
            for group in groups[1:]
            if (paired := _paired(groups[0], group)) is not None
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


def _paired(first: Sequence[RunFiles], group: Sequence[RunFiles]) -> View | None:
    """Compares two groups seed by seed, where both saw the same images; None where they share no seed."""
    before, after = ({key: test for run in runs for key, test in _by_seed(run).items()} for runs in (first, group))
    changes = [after[key] - before[key] for key in before if key in after]
    if not changes:
        return None
    spread = f" ± {100 * statistics.stdev(changes):.1f}" if len(changes) > 1 else ""
    better = sum(change > 0 for change in changes)
    return {"seeds": len(changes), "better": better, "change": f"{points(statistics.mean(changes))}{spread}"}


def _by_seed(run: RunFiles) -> dict[tuple[str, str, int], float]:
    """Returns the test accuracies of what a run saved, by data, counts and seed."""
    result = run.result
    if result is None:
        return {}
    rung = "prompt_png" if result.accuracy.get("prompt_png") else "prompt_float"
    seeds = [seed["seed"] for seed in result.search["seeds"]] if result.search else [result.seed]
    counts = json.dumps(result.counts, sort_keys=True)
    return {(result.data, counts, seed): test for seed, test in zip(seeds, test_accuracies(run, rung), strict=False)}


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
