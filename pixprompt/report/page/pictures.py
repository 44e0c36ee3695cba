"""Views of what is seen with the eyes: the prompt, images, saliency maps, confusion, answers in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...prompt import Prompt
from ...views import view_name
from ..embedding import tsne_settings
from ..evidence import Evidence
from ..run_files import RunFiles
from .charts import chart
from .environment import jpeg_uri, percent, png_uri
from .views import NothingToShow, View, require

if TYPE_CHECKING:
    from ..saliency.maps import StateMaps

__all__ = ["confusions", "images", "points", "prompt", "saliency"]

_STATES = ("without prompt", "with prompt")


def prompt(run: RunFiles, evidence: Evidence) -> View:
    """Shows each page of the prompt as it is, and with its colours stretched."""
    del evidence
    require(run, "prompt.png", run.committee is not None)
    if not run.prompt_kept:
        raise NothingToShow(f"{run.none_kept}.")
    return {"pages": [_page(page) for page in run.pages]}


def _page(prompt: Prompt) -> View:
    from ...plots import amplified, color_key, on_checkers

    stretched, factor = amplified(prompt)
    end, meaning = color_key(prompt, factor)
    return {
        "as_is": png_uri(on_checkers(prompt)),
        "stretched": png_uri(stretched),
        "factor": factor,
        "end": end,
        "meaning": meaning,
        "size": prompt.canvas.size,
        "template": prompt.template.get("name"),
        "blend": prompt.blend,
        "view": view_name(prompt),
    }


def images(run: RunFiles, evidence: Evidence) -> View:
    """Shows a few images without and with the prompt, what they are and what the model says."""
    sample, predictions = evidence.sample, evidence.predictions
    if sample is None:
        raise _absent(run, evidence, "images")
    states = list(zip(_STATES, (sample.before, sample.after), strict=True))[: 2 if run.prompt_kept else 1]
    if sample.further:
        views_of = (sample.after, *sample.further)
        states = [states[0], *((f"view {number}", pixels) for number, pixels in enumerate(views_of, 1))]
    shares = () if predictions is None else (predictions.before, predictions.after)
    rows = []
    for place in evidence.shown:
        label = int(sample.labels[place])
        views: list[View] = [{"name": name, "uri": jpeg_uri(pixels[place]), "guess": None} for name, pixels in states]
        for view, share in zip(views, shares, strict=False):
            guess = int(share[place].argmax())
            view["guess"] = _guess(sample.classes, guess, label, percent(float(share[place, guess])))
        rows.append({"label": sample.classes[label], "states": views})
    return {
        "images": rows,
        "total": sample.total,
        "exact": sample.exact,
        "prompt_kept": run.prompt_kept,
        "unpredicted": None if predictions is not None else evidence.skipped.get("model", ""),
    }


def saliency(run: RunFiles, evidence: Evidence) -> View:
    """Shows saliency maps without and with the prompt."""
    maps, sample = evidence.saliency, evidence.sample
    if maps is None or sample is None:
        raise _absent(run, evidence, "saliency", picture=False)
    from ...plots import heat_key, heat_overlay

    states = list(zip(_STATES, (maps.before, maps.after), strict=True))[: 2 if run.prompt_kept else 1]
    rows = []
    for number, place in enumerate(maps.shown):
        label = int(sample.labels[place])
        views = [
            {
                "name": name,
                "uri": jpeg_uri(heat_overlay(state.images[number], state.heat[number], smooth=maps.smooth)),
                "guess": _explained(sample.classes, state, number, label),
            }
            for name, state in states
        ]
        rows.append({"label": sample.classes[label], "states": views})
    return {"images": rows, "method": maps.method, "key": png_uri(heat_key()), "drops": maps.before.drops is not None}


def confusions(run: RunFiles, evidence: Evidence) -> View:
    """Draws the confusion matrices from the predictions."""
    sample, predictions = evidence.sample, evidence.predictions
    if sample is None or predictions is None:
        raise _absent(run, evidence, "model", picture=sample is not None)
    from ...plots import confusion, confusion_figure

    classes, charts = sample.classes, []
    for name, shares in list(zip(_STATES, (predictions.before, predictions.after), strict=True))[
        : 2 if run.prompt_kept else 1
    ]:
        counts = confusion(sample.labels, shares.argmax(1), len(classes))
        right = percent(float(np.trace(counts)) / max(1, counts.sum()))
        charts.append(
            chart(lambda name=name, counts=counts: confusion_figure({name: counts}, classes),  # type: ignore[misc]
                  f"Confusion matrix: {right} right {name}.")
        )  # fmt: skip
    return {
        "charts": charts,
        "num": len(sample.labels),
        "total": sample.total,
        "own_output": predictions.own_output,
        "prompt_kept": run.prompt_kept,
    }


def points(run: RunFiles, evidence: Evidence) -> View:
    """Draws the answers in the plane."""
    if evidence.points is None or evidence.sample is None:
        raise _absent(run, evidence, "points", picture=False)
    from ...plots import PointPanel, points_figure

    sample, panels = evidence.sample, list(zip(_STATES, evidence.points, strict=True))
    return {
        "charts": [
            chart(lambda name=name, at=at: points_figure([PointPanel(name, at)], sample.labels, sample.classes),  # type: ignore[misc]
                  f"Scatter plot of the answers, {name}.")
            for name, at in panels[: 2 if run.prompt_kept else 1]
        ],
        "num": len(sample.labels),
        "settings": tsne_settings(len(sample.labels)),
    }  # fmt: skip


def _explained(classes: Sequence[str], state: StateMaps, number: int, label: int) -> View:
    detail = percent(float(state.probabilities[number]))
    if state.drops is not None:
        detail += f", at most {100 * float(state.drops[number]):.1f} points lost"
    return _guess(classes, int(state.classes[number]), label, detail)


def _guess(classes: Sequence[str], guess: int, label: int, detail: str) -> dict[str, Any]:
    return {"right": guess == label, "name": classes[guess], "detail": detail}


def _absent(run: RunFiles, evidence: Evidence, what: str, *, picture: bool = True) -> NothingToShow:
    """Returns why something is not shown, with the run's own picture where that helps."""
    reason = evidence.skipped.get(what) or evidence.skipped.get("model") or "there is nothing to show."
    return NothingToShow(reason, png_uri(run.preview) if picture and run.preview is not None else None)
