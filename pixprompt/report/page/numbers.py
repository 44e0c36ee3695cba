"""Views of what a run measured: the summary, the ladder, curves, spending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...engine.result import RUNGS, TITLES, Result, Score
from ..evidence import Evidence
from ..run_files import RunFiles
from .charts import chart
from .environment import count, percent
from .views import NothingToShow, View, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...plots import Track

__all__ = ["curves", "ladder", "rung_titles", "spending", "spending_charts", "summary", "track"]

_WHITE_BOX = {"prompt_float": "adapter as trained", "prompt_png": "adapter re-read from its file"}


def rung_titles(runs: Sequence[RunFiles]) -> dict[str, str]:
    """Returns the rungs that one of the runs may have, with what they are called."""
    white_box = {run.white_box for run in runs}
    if white_box == {True}:
        reread = any(run.result is not None and run.result.accuracy.get("prompt_png") for run in runs)
        return {rung: title for rung, title in (TITLES | _WHITE_BOX).items() if reread or rung != "prompt_png"}
    return TITLES if True not in white_box else {**TITLES, "prompt_float": "prompt or adapter as trained"}


def summary(run: RunFiles) -> View:
    """Returns the few numbers that matter most."""
    require(run, "result.json", run.result is not None)
    result: Result = run.result  # type: ignore[assignment]
    before, after = result.accuracy.get("no_prompt"), result.accuracy.get("prompt_png")
    after = after or result.accuracy.get("prompt_float")
    output_only = result.accuracy.get("output_only")
    return {
        "result": result,
        "before": None if before is None else before.test,
        "after": after if after is not None and after.test is not None else None,
        "alone": output_only if output_only and before and _differs(output_only, before) else None,
        "what": "adapter" if result.best == "adapter" else "prompt",
    }


def _differs(output_only: Score, before: Score) -> bool:
    return output_only.test is not None and output_only.output != before.output


def ladder(run: RunFiles, evidence: Evidence) -> View:
    """Shows the accuracy of each rung, and the changes between rungs with their paired intervals."""
    del evidence
    require(run, "result.json", run.result is not None)
    result: Result = run.result  # type: ignore[assignment]
    titles = rung_titles([run])
    rungs = {titles.get(name, name): result.accuracy.get(name)
             for name in (*titles, *(name for name in result.accuracy if name not in RUNGS))}  # fmt: skip
    if result.best == "none":
        rungs[result.none_kept or ""] = rungs.pop(titles["prompt_png"])

    def draw() -> Figure:
        from ...plots import Rung, ladder_figure

        return ladder_figure(
            [Rung(title, *((None,) * 3 if score is None else (score.val, score.test, score.ci95)))
             for title, score in rungs.items()]
        )  # fmt: skip

    description = "; ".join(f"{title}: test {percent(score.test if score else None)}" for title, score in rungs.items())
    return {
        "chart": chart(draw, f"Accuracy by rung. {description}."),
        "rungs": rungs,
        "prices": {
            title: _price(result, title in (titles["prompt_float"], titles.get("prompt_png"))) for title in rungs
        },
        "num_test": result.counts.get("test"),
        "changes": [
            (titles.get(change.after, change.after), titles.get(change.before, change.before), change)
            for change in result.changes
        ],
    }


def _price(result: Result, prompted: bool) -> float:
    """Returns the queries per prediction."""
    return float(result.queries.get("per_prediction", 1)) if prompted else 1.0


def curves(run: RunFiles, evidence: Evidence) -> View:
    """Shows loss and accuracy during learning."""
    del evidence
    require(run, "history.jsonl", bool(run.history))
    result = run.result
    rungs = {} if result is None else {name: {"val": score.val} for name, score in result.accuracy.items() if score}

    def draw(panel: str) -> Figure:
        from ...plots import curves_figure

        return curves_figure(run.history, rungs, (panel,))

    last = percent(run.history[-1].get("val_accuracy"))
    span = f"over {len(run.history)} points"
    description = f"Accuracy {span}; last validation accuracy {last}."
    return {"charts": [chart(lambda: draw("loss"), f"Loss {span}."), chart(lambda: draw("accuracy"), description)]}


def track(run: RunFiles) -> Track | None:
    """Returns how a run's accuracy grew with its queries; None where its history does not say."""
    from ...plots import Track, queries_of

    if run.white_box:  # such a model is open and costs nothing, and much of it runs once only
        return None
    lines = [line for line in run.history if queries_of(line) is not None and line.get("val_accuracy") is not None]
    if not lines:
        return None
    return Track(
        run.name, [queries_of(line) or 0 for line in lines], [line["val_accuracy"] for line in lines], run.price
    )


def spending_charts(tracks: Sequence[Track]) -> list[View]:
    """Draws accuracy against queries, and against money where every run has a price."""
    from ...plots import spending_figure

    description = "; ".join(
        f"{track.name}: {percent(track.accuracy[-1])} after {count(track.queries[-1])} queries" for track in tracks
    )
    charts = [chart(lambda: spending_figure(tracks), f"Accuracy against queries. {description}.")]
    if all(track.price is not None for track in tracks):
        charts.append(chart(lambda: spending_figure(tracks, by_cost=True), "Accuracy against cost."))
    return charts


def spending(run: RunFiles, evidence: Evidence) -> View:
    """Shows accuracy against queries and money, and what the budget was planned for."""
    del evidence
    run_track = track(run)
    if run_track is None:
        raise NothingToShow("history.jsonl says of no step what it took and what it reached.")
    plan = run.result.queries.get("plan") if run.result is not None else None
    return {
        "charts": spending_charts([run_track]),
        "price": run_track.price,
        "plan": plan if isinstance(plan, Mapping) else {},
    }
