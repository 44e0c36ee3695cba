"""The sections of one run: each a title, what is to be seen, and why it is missing where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...core import PixpromptError
from ...engine import RUNGS, Result
from ...plots import (
    Rung,
    Track,
    amplified,
    curves_figure,
    ladder_figure,
    on_checkers,
    spending_figure,
    spent,
    to_svg,
)
from ..evidence import Evidence
from ..run_files import RunFiles
from .adapter import TITLES as INSIDE_TITLES
from .adapter import learned_body, preview_body, search_body
from .diagnosis import diagnosis_section
from .images import confusion_body, gaze_body, images_body, points_body
from .mapping import mapping_section
from .markup import Child, Html, chart, element, figure, join, picture, png_uri, table
from .words import count, duration, percent, points

__all__ = ["Section", "absent", "run_sections", "summary", "titles_of", "track"]

TITLES = {
    "no_prompt": "no prompt",
    "output_only": "no prompt, best output transform",
    "prompt_float": "prompt as trained",
    "prompt_png": "prompt re-read from PNG",
}
_INSIDE = ("ladder", "prompt", "search", "confusion", "curves", "diagnostics", "settings", "files")
"""What there is to see of a method that reaches into the model: no picture, and nothing that is paid for."""


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        key: Its place in the page, for links.
        title: Its heading.
        body: What follows.
    """

    key: str
    title: str
    body: Html


def titles_of(runs: Sequence[RunFiles]) -> dict[str, str]:
    """Returns the rungs that one of the runs may have, with what they are called."""
    inside = {run.inside for run in runs}
    if inside == {True}:
        again = any(run.result is not None and run.result.accuracy.get("prompt_png") for run in runs)
        return {rung: INSIDE_TITLES.get(rung, title) for rung, title in TITLES.items() if again or rung != "prompt_png"}
    if True in inside:
        return {**TITLES, "prompt_float": "prompt or adapter as trained"}
    return TITLES


def absent(reason: str) -> Html:
    """Says what is missing and why, where it would have been."""
    return element("p", f"Not shown: {reason}", class_="absent")


def run_sections(run: RunFiles, evidence: Evidence) -> Iterator[Section]:
    """Yields the sections of a run, in the order of a first reading."""
    makers: tuple[tuple[str, str, Callable[[RunFiles, Evidence], Html | None]], ...] = (
        ("ladder", "The ladder", _ladder),
        ("prompt", "What was learned" if run.inside else "The prompt", _prompt),
        ("search", "The search", _search),
        ("images", "Images before and after", images_body),
        ("gaze", "Where the model looks", gaze_body),
        ("confusion", "Confusion before and after", _confusion),
        ("curves", "Learning curves", _curves),
        ("spending", "Accuracy against queries and money", _spending),
        ("points", "The answers in the plane", points_body),
        ("mapping", "From answers to labels", _mapping),
        ("diagnostics", "Diagnostics", _diagnosis),
        ("settings", "Settings", _settings),
        ("files", "Files", _files),
    )
    for key, title, make in makers:
        if run.inside and key not in _INSIDE:
            continue
        try:
            body = make(run, evidence)
        except PixpromptError as error:
            body = absent(str(error))
        except (TypeError, ValueError, KeyError, AttributeError) as error:  # files that somebody else wrote
            body = absent(f"a file of the run holds something else than expected ({type(error).__name__}: {error}).")
        if body is not None:
            yield Section(key, title, body)


def summary(run: RunFiles) -> Html:
    """Returns the few numbers that matter most."""
    result = run.result
    if result is None:
        return absent(f"the result; result.json: {run.lacking['result.json']}.")
    cards = [_gain_card(result)]
    if result.counts:
        told = "images: " + ", ".join(f"{count(number)} {name}" for name, number in result.counts.items())
        cards.append(_card(count(len(result.classes)), f"classes; {told}"))
    cost = result.queries.get("cost")
    paid = "no price given" if cost is None else f"cost {cost:g}"
    cached = result.queries.get("cached")
    paid += f"; {count(cached)} more were cached" if cached else ""
    cards.append(_card(count(result.queries.get("images")), f"queries; {paid}"))
    cards.append(_card(count(result.parameters), f"numbers learned by method {result.method}"))
    speed = f"{result.train_images_per_second:.0f} training images per second"
    cards.append(_card(duration(result.seconds), f"{speed}, {result.peak_memory_mb:.0f} MiB"))
    notes = element("ul", *(element("li", note) for note in result.notes), class_="notes") if result.notes else None
    return join([element("div", *cards, class_="cards"), notes])


def _gain_card(result: Result) -> Html:
    before, after = result.accuracy.get("no_prompt"), result.accuracy.get("prompt_png")
    after = after or result.accuracy.get("prompt_float")
    if not before or not after or before.test is None or after.test is None:
        return _card("no test scores", "the run was not scored on its test images")
    change = points(after.test - before.test)
    if result.best == "none":
        told = f"test accuracy by the output transform {after.output!r} alone ({change}); no prompt was kept"
    else:
        told = f"test accuracy without and with the {'adapter' if result.best == 'adapter' else 'prompt'} ({change})"
        alone = result.accuracy.get("output_only")
        if alone and alone.test is not None and alone.output != before.output:
            told += f"; {percent(alone.test)} without it but with the output transform {alone.output!r}"
    return _card(f"{percent(before.test)} → {percent(after.test)}", told)


def _card(large: str, small: str) -> Html:
    return element("div", element("b", large), element("span", small), class_="card")


def _ladder(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    if run.result is None:
        return absent(f"result.json: {run.lacking['result.json']}.")
    rungs, rows = [], []
    titles = titles_of([run])
    for name in (*titles, *(name for name in run.result.accuracy if name not in RUNGS)):
        score, title = run.result.accuracy.get(name), titles.get(name, name)
        if score is None:
            rungs.append(Rung(title, None, None, None))
            rows.append((title, "–", "–", "–", "–"))
            continue
        rungs.append(Rung(title, score.val, score.test, score.ci95))
        interval = "–" if score.ci95 is None else f"{score.ci95[0]:.1%} – {score.ci95[1]:.1%}"
        rows.append((title, percent(score.val), percent(score.test), interval, score.output))
    number = count(run.result.counts.get("test"))
    caption = (
        f"Accuracy of each rung on {number} test images (dots) with the 95% Wilson interval, and on the validation "
        "images that decided what was kept (rings). Where two intervals overlap, the "
        "difference may be chance."
    )
    alt = "; ".join(f"{rung.title}: test {percent(rung.test)}" for rung in rungs)
    head = ("rung", "validation", "test", "95% interval", "output transform")
    drawn = figure(chart(to_svg(ladder_figure(rungs)), f"Accuracy by rung. {alt}."), caption)
    return join([drawn, table(head, rows, text=(0, 4))])


def _prompt(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    prompt = run.prompt
    if run.inside:
        return learned_body(run)
    if prompt is None:
        return absent(f"prompt.png: {run.lacking['prompt.png']}.")
    height, width = prompt.canvas.size
    if prompt.template.get("name") == "none":
        return element("p", "The saved prompt is empty: no prompt validated better than none.", class_="absent")
    stretched, factor = amplified(prompt)
    blend = "a signed change around grey" if prompt.blend == "add" else "an overlay that covers what lies under it"
    pair = (
        figure(
            picture(png_uri(on_checkers(prompt)), "The prompt on a checkerboard", class_="pixels"),
            f"The file as it is, {height} × {width} pixels, template “{prompt.template.get('name')}”, {blend}. "
            "The checkerboard is what it leaves free.",
        ),
        figure(
            picture(png_uri(stretched), "The prompt with its colours stretched", class_="pixels"),
            f"The same, colours stretched {factor:.1f} times around grey; the strongest hundredth is cut off.",
        ),
    )
    return element("div", *pair, class_="pair")


def _search(run: RunFiles, evidence: Evidence) -> Html | None:
    del evidence
    return search_body(run)


def _confusion(run: RunFiles, evidence: Evidence) -> Html:
    return preview_body(run) if run.inside else confusion_body(run, evidence)


def _curves(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    if not run.history:
        return absent(f"history.jsonl: {run.lacking.get('history.jsonl', 'it is empty')}.")
    rungs = {}
    if run.result is not None:
        rungs = {name: {"val": score.val} for name, score in run.result.accuracy.items() if score is not None}
    svg, last = to_svg(curves_figure(run.history, rungs)), run.history[-1]
    caption = "Loss (left) and accuracy (right) on training and validation images during learning; grey "
    caption += "lines: what is reached without a prompt."
    alt = (
        f"Learning curves over {len(run.history)} points; last validation accuracy {percent(last.get('val_accuracy'))}."
    )
    return figure(chart(svg, alt), caption)


def track(run: RunFiles) -> Track | None:
    """Returns how a run's accuracy grew with its queries; None where its history does not say."""
    if run.inside:  # such a model is open and costs nothing, and much of it runs once only
        return None
    known = [line for line in run.history if spent(line) is not None and line.get("val_accuracy") is not None]
    if not known:
        return None
    return Track(run.name, [spent(line) or 0 for line in known], [line["val_accuracy"] for line in known], run.price)


def _spending(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    grown = track(run)
    if grown is None:
        return absent("history.jsonl says of no step what it took and what it reached.")
    caption = "Validation accuracy of the prompt so far against the images asked so far"
    caption += (
        ", and against what they cost." if grown.price is not None else "; no price was given (--price-per-1000)."
    )
    last = f"{percent(grown.accuracy[-1])} after {count(grown.queries[-1])} queries"
    drawn = figure(chart(to_svg(spending_figure([grown])), f"Accuracy against queries: {last}."), caption)
    return join([drawn, _planned(run)])


def _planned(run: RunFiles) -> Html | None:
    """What a budget was planned for."""
    plan = run.result.queries.get("plan") if run.result is not None else None
    if not isinstance(plan, Mapping):
        return None
    told = ", ".join(f"{name.replace('_', ' ')} {count(number)}" for name, number in plan.items())
    return element("p", f"The plan of the budget, in queries: {told}.", class_="remark")


def _mapping(run: RunFiles, evidence: Evidence) -> Html:
    if run.prompt is None:
        return absent(f"prompt.png: {run.lacking['prompt.png']}.")
    return mapping_section(run.prompt.output, evidence.sources)


def _diagnosis(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    if run.diagnosis is None:
        why = run.lacking.get("diagnosis.json", "the run directory holds none; 'pixprompt diagnose' makes one")
        return absent(f"diagnosis.json: {why}.")
    return diagnosis_section(run.diagnosis)


def _settings(run: RunFiles, evidence: Evidence) -> Html:
    del evidence
    if run.config is None:
        return absent(f"config.json: {run.lacking['config.json']}.")
    rows = [(name, _value(value)) for name, value in run.config.items() if value is not None]
    unset = [name for name, value in run.config.items() if value is None]
    left = element("p", f"Not set: {', '.join(unset)}.", class_="remark") if unset else None
    shown = table(("setting", "value"), rows, text=(0, 1))
    return element("details", element("summary", f"{len(rows)} settings of config.json"), shown, left)


def _value(value: object) -> Child:
    return element("code", str(value))


def _files(run: RunFiles, evidence: Evidence) -> Html:
    result = run.result
    notes = []
    if result is not None and result.max_pixel_difference is not None:
        notes.append(
            f"Largest pixel difference between the prompted images in memory and by the file: "
            f"{result.max_pixel_difference} of 255 steps."
        )
    if run.has_ledger:
        notes.append("Every query of the run is in ledger.sqlite; 'pixprompt ledger' reads it.")
    notes += [f"{file}: {why}." for file, why in run.lacking.items()]
    if evidence.queries:
        notes.append(f"This report asked the model about {count(evidence.queries)} images.")
    return (
        element("ul", *(element("li", note) for note in notes))
        if notes
        else element("p", "All files of the run are there.")
    )
