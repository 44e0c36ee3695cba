"""`pixprompt diagnose`: numbers, a first look at a model, and advice before queries are spent."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from ...core import ModelError
from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, with_policy
from ..console import Console
from ..options import device_option, json_option, print_result, ray_option

__all__ = ["diagnose", "format_diagnosis"]

_WIDTH = 100


@click.command()
@click.option("--data", required=True, help="Images of your task: a short name, folder:PATH or csv:FILE.")
@click.option("--reference", required=True, help="Images of what the model knows, labelled or not; ImageNet photos.")
@click.option("--model", help="Model to ask about a few labelled images of --data.")
@click.option("--weights", help="Weights file for the model.")
@click.option("--labelled", default=10, show_default=True, help="Images per class that the model is asked about.")
@click.option("--budget", type=click.IntRange(0), help="Queries that may be spent in all, those of this look included.")
@click.option("--inception", help="Inception-2015 weights for FID and KID; 'none' leaves both out.")
@click.option("--fetch", is_flag=True, help="Download these weights, 96 MB, where there are none; a terminal asks.")
@click.option("--lpips", help="AlexNet and LPIPS weights for the diversity; 'none' leaves it out.")
@click.option("--clip", help="CLIP model for CMMD, as for --model.")
@click.option("--pairs", type=click.IntRange(1), default=10_000, show_default=True, help="Image pairs of LPIPS.")
@click.option("--bootstrap", type=click.IntRange(2), default=200, show_default=True, help="Resamples per interval.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every draw.")
@click.option("--limit", type=click.IntRange(1), help="Take so many images of each set, drawn by the seed.")
@device_option
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Threads that decode images.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File for the diagnosis object, in a run directory or not."
)
@ray_option
@partial(call_options, with_budget=False)
@json_option
def diagnose(
    data: str,
    reference: str,
    inception: str | None,
    fetch: bool,
    lpips: str | None,
    pairs: int,
    bootstrap: int,
    seed: int,
    out: Path | None,
    budget: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say whether a prompt is worth learning, before queries are spent.

    Measures how far --data is from --reference and how diverse it is. With --model it also asks about a few labelled
    images, and says what a linear head on the same answers would give. With --ray, the features that the distances
    are taken in come from the processes of a cluster; all else stays here.
    """
    from ...diagnose.run import diagnose as run
    from ...diagnostics.measure import MeasureSettings

    keep_freed_memory()
    if inception is None:
        _fetch_inception(fetch)
    calls = calls_of(options, budget=budget)
    with Console() as console:
        diagnosis = with_policy(
            lambda policy: run(
                data,
                reference,
                inception_file=inception,
                lpips_file=lpips,
                settings=MeasureSettings(seed=seed, pairs=pairs, bootstrap=bootstrap),
                budget=calls.budget,
                out=out,
                reporter=console,
                calls=replace(calls, in_doubt=policy),
                **options,
            ),
            calls.in_doubt,
        )
    lines = [*format_diagnosis(diagnosis), *(() if out is None else ("", f"diagnosis  {out}"))]
    print_result(diagnosis, lines, as_json)


def _fetch_inception(consent: bool) -> None:
    """Downloads the Inception weights where there are none, and the user wants it."""
    from ...diagnostics.features.inception_file import SIZE_MB, URL, fetch_inception, find_inception

    try:
        find_inception()
    except ModelError:
        question = f"FID and KID need weights that are not here. Download {SIZE_MB} MB from {URL}?"
        on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
        if consent or (on_terminal and click.confirm(question, default=False, err=True)):
            fetch_inception()


def format_diagnosis(diagnosis: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a diagnosis: numbers with what they were taken in, the model, the advice."""
    for side in ("data", "reference"):
        yield f"{side:11}{diagnosis[side]['name']}  ({diagnosis[side]['n']} images)"
    yield ""
    yield from _numbers(diagnosis)
    if diagnosis["model"] is not None:
        yield from ["", *_model(diagnosis["model"])]
    yield from ["", *_advice(diagnosis["advice"])]


def _numbers(diagnosis: dict[str, Any]) -> Iterator[str]:
    distances = [name for name in diagnosis if name in ("fid", "kid", "cmmd") or name.startswith("frechet_")]
    if any(diagnosis[name] is not None for name in (*distances, "lpips", "coverage")):
        yield f"{'':14}{'value':>10}   {'95% interval':23}{'floor':>10}   taken in"
    for name in distances:
        number = diagnosis[name]
        if number is None:
            continue
        title = (name.upper() if "_" not in name else "Frechet") + (" *" if name == diagnosis["headline"] else "")
        interval = f"{number['ci95'][0]:.4g} to {number['ci95'][1]:.4g}"
        place = f"{number['extractor']}, {number['dtype']}, {number['n']} against {number['n_reference']} images"
        yield f"{title:14}{number['value']:>10.4g}   {interval:23}{number['floor']:>10.4g}   {place}"
    if diagnosis["lpips"] is not None:
        number = diagnosis["lpips"]
        interval = f"{number['ci95'][0]:.4g} to {number['ci95'][1]:.4g}"
        place = f"{number['extractor']}, {number['dtype']}, {number['pairs']} pairs of {number['images']} images"
        yield f"{'LPIPS':14}{number['mean']:>10.4g}   {interval:23}{'':>10}   {place}"
    if diagnosis["coverage"] is not None:
        yield from _coverage(diagnosis["coverage"])
    yield from _remarks(diagnosis, distances)


def _coverage(number: dict[str, Any]) -> Iterator[str]:
    place = f"{number['extractor']}, {number['dtype']}, {number['n']} against {number['n_reference']} images"
    classes = "its images" if number["classes"] is None else f"its {number['num_classes']} classes"
    reached = number["images" if number["classes"] is None else "classes"]
    for title, value, unit in (
        ("coverage", reached, f"of {classes} are nearest to some image of the data; {place}"),
        ("covered", number["covered"], "of the reference is near the data"),
        ("within", number["within"], "of the data is near the reference"),
    ):
        yield f"{title:14}{value:>10.4g}   {'':23}{'':>10}   {unit}"


def _remarks(diagnosis: dict[str, Any], distances: list[str]) -> Iterator[str]:
    if diagnosis["headline"] is not None:
        yield "* the number to read; the floor is what two halves of one set are apart, by sample size alone"
    distances_measured = [diagnosis[name] for name in distances if diagnosis[name] is not None]
    resized = {number["extractor"]: number["resize"] for number in distances_measured}
    if diagnosis["lpips"] is not None:
        resized["lpips"] = f"canvas {diagnosis['lpips']['canvas']}"
    for extractor, resize in resized.items():
        yield f"resize, {extractor}: {resize}"
    for note in dict.fromkeys(number["note"] for number in distances_measured if "note" in number):
        yield f"note: {note}"
    for name, reason in diagnosis["reasons"].items():
        yield f"no {name}: {reason}"


def _model(check: dict[str, Any]) -> Iterator[str]:
    yield f"model      {check['model']}  ({check['queries']} queries: labelled images, scored by cross-validation)"
    rows = (("no prompt", "accuracy", "ci95", check["output"]), ("linear head", "head", "head_ci95", "linear"))
    for title, key, interval, output in rows:
        if check[key] is not None:
            low, high = check[interval]
            yield f"{title:14}{check[key]:>10.3f}   {f'{low:.3f} to {high:.3f}':23}   output {output}"
    known = "unknown" if check["known_names"] is None else f"{check['known_names']:.2f}"
    yield f"{'known names':14}{known:>10}   {check['names_by']}"


def _advice(advice: dict[str, Any]) -> Iterator[str]:
    queries = "" if advice["queries"] is None else f" with {advice['queries']:,} queries"
    low, high = advice["interval"]
    yield f"advice     {advice['verdict'].upper()}{queries}"
    gain = (
        f"{advice['expected_gain']:+.1f} points over {advice['over']} "
        f"({advice['level']:.0%} interval {low:+.1f} to {high:+.1f})"
    )
    yield f"expected   {gain}" if advice["verdict"] != "unknown" else f"guess      {gain}; too wide to decide by"
    for reason in advice["reasons"]:
        yield from textwrap.wrap(reason, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    if advice["missing"]:
        yield f"Not measured: {', '.join(advice['missing'])}."
