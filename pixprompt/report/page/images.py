"""What is seen with the eyes: images before and after, where the model looks, confusion, answers in the plane."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...plots import confusion, confusion_figure, heat_overlay, scatter_figure, to_svg
from ..evidence import Answers, Evidence
from ..run_files import RunFiles
from ..saliency.maps import Look
from ..sample import Sample
from .markup import Html, chart, element, figure, join, jpeg_uri, picture
from .words import count, percent

__all__ = ["confusion_body", "gaze_body", "images_body", "points_body"]

Labels = npt.NDArray[np.int64]


def images_body(run: RunFiles, evidence: Evidence) -> Html:
    """Shows a few images in pairs, with what they are and what the model says."""
    sample = evidence.sample
    if sample is None:
        return join([_absent(evidence, "images"), _preview(run)])
    said = None if evidence.answers is None else _tops(evidence.answers)
    cards = []
    for place in evidence.shown:
        truth = sample.classes[sample.labels[place]]
        lines = [element("strong", f"is {truth}")]
        for state, pixels in enumerate((sample.before, sample.after)):
            word = ("without", "with")[state]
            image = picture(jpeg_uri(pixels[place]), f"{truth}, {word} the prompt", class_="pixels")
            label = None if said is None else _verdict(sample, place, *said[state])
            lines.append(element("div", image, element("span", f"{word} prompt"), label, class_="state"))
        cards.append(element("div", *lines, class_="image"))
    told = f"{len(cards)} of {count(sample.total)} test images, evenly spaced through the split, not picked by result."
    if not sample.exact:
        told += " Without the model its crop is not known: the images without prompt may be cut a little differently."
    named = "Below each: the predicted class with its share of the softmax. Shown as JPEG of high quality."
    caption = [told, named if said else f"Without predictions: {evidence.skipped.get('model', '')}"]
    return figure(element("div", *cards, class_="images"), " ".join(caption))


def gaze_body(run: RunFiles, evidence: Evidence) -> Html:
    """Shows where the model looks, before and after."""
    del run
    gaze, sample = evidence.gaze, evidence.sample
    if gaze is None or sample is None:
        return _absent(evidence, "gaze")
    cards = []
    for number, place in enumerate(gaze.shown):
        truth = sample.classes[sample.labels[place]]
        lines = [element("strong", f"is {truth}")]
        for word, seen in (("without", gaze.before), ("with", gaze.after)):
            drawn = heat_overlay(seen.images[number], seen.heat[number], smooth=gaze.smooth)
            alt = f"Where the model looks in an image of {truth}, {word} the prompt"
            lines.append(
                element(
                    "div",
                    picture(jpeg_uri(drawn), alt, class_="pixels"),
                    element("span", f"{word} prompt"),
                    _explained(sample, place, seen, number),
                    class_="state",
                )
            )
        cards.append(element("div", *lines, class_="image"))
    return figure(element("div", *cards, class_="images"), gaze.how)


def confusion_body(run: RunFiles, evidence: Evidence) -> Html:
    """Draws the confusion matrices from the answers; without them shows the run's own picture."""
    sample, answers = evidence.sample, evidence.answers
    if sample is None or answers is None:
        return join([_absent(evidence, "model"), _preview(run) if evidence.sample is not None else None])
    tables = [confusion(sample.labels, guesses, len(sample.classes)) for guesses, _ in _tops(answers)]
    number = len(sample.labels)
    which = "all" if number == sample.total else f"{count(number)} of {count(sample.total)}"
    told = f"Rows: what the image is. Columns: what the model says. Counts over {which} test images"
    told += ", evenly spaced; the ladder counts all." if number != sample.total else "."
    if not answers.own_before:
        told += " The answers without prompt are read with the output transform that was learned with it."
    right = [percent(float(np.trace(counts)) / max(1, counts.sum())) for counts in tables]
    alt = f"Confusion matrices: {right[0]} right without prompt, {right[1]} with it."
    return figure(chart(to_svg(confusion_figure(tables[0], tables[1], sample.classes)), alt), told)


def points_body(run: RunFiles, evidence: Evidence) -> Html:
    """Draws the answers in the plane."""
    del run
    if evidence.points is None or evidence.sample is None:
        return _absent(evidence, "points")
    sample = evidence.sample
    drawn = scatter_figure(*evidence.points, sample.labels, sample.classes)
    told = (
        f"t-SNE of the model's answers to the same {count(len(sample.labels))} test images, one point per image, "
        "coloured by what it is. Groups of one colour are classes that the answers tell apart; axes and distances "
        "between groups mean nothing, and the two panels are arranged independently."
    )
    return figure(chart(to_svg(drawn), "Two scatter plots of the answers, without and with prompt."), told)


def _tops(answers: Answers) -> list[tuple[Labels, npt.NDArray[np.float64]]]:
    """Returns predicted classes and their shares, before and after."""
    tops = (shares.max(dim=1) for shares in (answers.shares_before, answers.shares_after))
    return [(top.indices.numpy(), top.values.numpy()) for top in tops]


def _verdict(sample: Sample, place: int, guesses: Labels, shares: npt.NDArray[np.float64]) -> Html:
    return _mark(sample.classes, int(guesses[place]), int(sample.labels[place]), percent(float(shares[place])))


def _explained(sample: Sample, place: int, seen: Look, number: int) -> Html:
    told = percent(float(seen.shares[number]))
    if seen.drops is not None:
        told += f", at most {100 * float(seen.drops[number]):.1f} points lost"
    return _mark(sample.classes, int(seen.classes[number]), int(sample.labels[place]), told)


def _mark(classes: Sequence[str], guess: int, truth: int, told: str) -> Html:
    right = guess == truth
    return element("span", f"{'✓' if right else '✗'} {classes[guess]} ({told})", class_="right" if right else "wrong")


def _absent(evidence: Evidence, what: str) -> Html:
    reason = evidence.skipped.get(what) or evidence.skipped.get("model") or "there is nothing to show."
    return element("p", f"Not shown: {reason}", class_="absent")


def _preview(run: RunFiles) -> Html | None:
    if run.preview is None:
        return None
    uri = "data:image/png;base64," + base64.b64encode(run.preview).decode("ascii")
    caption = "The run's own picture (preview.png): the prompt, test images before and after, and confusion matrices "
    caption += "over the whole test split without and with the prompt."
    return figure(picture(uri, "Preview of the run as it was drawn at its end", class_="paper"), caption)
