"""Runs of methods that reach into the model: what was learned is numbers, not a picture."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ..run_files import RunFiles
from .markup import Html, element, figure, join, picture, table
from .words import count, number, percent

__all__ = ["TITLES", "UNASKED", "learned_body", "preview_body", "search_body", "tests_of"]

TITLES = {"prompt_float": "adapter as trained", "prompt_png": "adapter re-read from its file"}
"""Rungs that are called otherwise than those of a prompt."""
UNASKED = "what was learned inside a model changes no image; the model is not asked again."


def learned_body(run: RunFiles) -> Html:
    """Says what the adapter holds."""
    told = run.result.adapter if run.result is not None else None
    method = (run.config or {}).get("method", "not known")
    file = "adapter.safetensors" if "adapter.safetensors" not in run.lacking else "adapter.safetensors (not there)"
    lines = [f"Method “{method}” learns inside the model; there is no prompt to look at. Its numbers are in {file}."]
    if told is not None:
        lines.append(
            f"{count(told['tuned'])} numbers were tuned, head included: {told['share']:.2%} of the backbone's "
            f"{count(told['backbone'])}. The file holds {count(told['stored'])}; the backbone is as it was."
        )
    return element("p", " ".join(lines))


def preview_body(run: RunFiles) -> Html:
    """Shows the confusion matrices that the run drew."""
    if run.preview is None:
        return element("p", f"Not shown: preview.png: {run.lacking['preview.png']}.", class_="absent")
    uri = "data:image/png;base64," + base64.b64encode(run.preview).decode("ascii")
    caption = "Drawn at the end of the run (preview.png), over the whole test split. Rows: what the image is. Columns: "
    caption += "what the model says, without the adapter and with it."
    return figure(picture(uri, "Confusion matrices without and with the adapter", class_="paper"), caption)


def search_body(run: RunFiles) -> Html | None:
    """Shows the trials of a search and its final trainings; None without a search."""
    found = run.result.search if run.result is not None else None
    if found is None:
        return None
    told = (
        f"Learning rate {found['lr']:g} and weight decay {found['weight_decay']:g} validated best "
        f"({percent(found['val_accuracy'])}); ties go to the smaller ones. They were then trained on training and "
        "validation images together, once per seed. The ladder shows the first seed, which the file holds."
    )
    decays = sorted({trial["weight_decay"] for trial in found["trials"]})
    rows = [
        (f"{rate:g}", *(_validated(found["trials"], rate, decay) for decay in decays))
        for rate in sorted({trial["lr"] for trial in found["trials"]})
    ]
    head = ("learning rate", *(f"weight decay {decay:g}" for decay in decays))
    seeds = [(str(each["seed"]), percent(each["test"])) for each in found["seeds"]]
    if found["test_deviation"] is not None:
        spread = f"{percent(found['test_mean'])} ± {100 * found['test_deviation']:.1f}"
        seeds.append(("mean ± sample standard deviation", spread))
    return join([element("p", told), table(head, rows), table(("seed", "test accuracy"), seeds)])


def _validated(trials: Sequence[dict[str, Any]], rate: float, decay: float) -> str:
    known = [trial["val_accuracy"] for trial in trials if (trial["lr"], trial["weight_decay"]) == (rate, decay)]
    if not known:
        return number(None, 3)
    return "diverged" if known[0] is None else percent(known[0])


def tests_of(run: RunFiles, rung: str) -> list[float]:
    """Returns the test accuracies of a rung: one for each seed of a search, otherwise one or none."""
    if run.result is None:
        return []
    if run.result.search is not None and rung == "prompt_float":
        return [each["test"] for each in run.result.search["seeds"]]
    score = run.result.accuracy.get(rung)
    return [] if score is None or score.test is None else [score.test]
