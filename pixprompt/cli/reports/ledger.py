"""`pixprompt ledger`: what was asked, answered, retried, in doubt and billed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ...ledger.summary import read_ledger
from ..options import json_option, print_result

__all__ = ["format_ledger", "ledger"]

_SCALES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--requests", is_flag=True, help="List each request.")
@click.option(
    "--price-per-1000",
    type=click.FloatRange(0),
    help="Price of 1000 queries.  [default: the one that the run was given]",
)
@json_option
def ledger(file: Path, requests: bool, price_per_1000: float | None, as_json: bool) -> None:
    """Show what FILE, or the ledger of a run directory, says: queries, requests, failures, doubts, bytes, money, time.

    It only looks, also while a run is writing: requests that are under way then show as in doubt.
    """
    summary = read_ledger(
        file / "ledger.sqlite" if file.is_dir() else file, price_per_1000=price_per_1000, requests=requests
    )
    print_result(summary, format_ledger(summary), as_json)


def format_ledger(summary: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a report."""
    for endpoint in summary["endpoints"]:
        url, protocol, encoding = (_cell(endpoint.get(name)) for name in ("url", "protocol", "encoding"))
        yield f"endpoint    {url} ({protocol}, {encoding})"
    yield f"queries     {summary['queries']} billed, or perhaps billed; {summary['answers']} answers are kept"
    if summary["labels_per_query"] is not None:
        yield f"labels      {summary['labels_per_query']} in each query"
    if summary["queries_per_prediction"] is not None:
        yield f"predicting  {summary['queries_per_prediction']:.3g} queries for each image"
    yield f"cached      {summary['cached']} answered from here instead"
    yield f"requests    {summary['requests']}: {summary['answered']} answered, {summary['failed']} failed"
    yield f"retried     {summary['retried']} of these requests repeat one that failed"
    yield from _doubts(summary)
    sent, received = summary["bytes"]["sent"], summary["bytes"]["received"]
    yield f"bytes       {_size(sent)} sent, {_size(received)} received"
    cost = "unknown; give --price-per-1000" if summary["cost"] is None else f"{summary['cost']:g}"
    yield f"cost        {cost}"
    yield from _times(summary["time"])
    yield from _table("hour", summary["by_hour"], ("requests", "queries", "failed", "in_doubt"))
    yield from _table("outcome", summary["by_status"], ("status", "requests", "images"))
    if "list" in summary:
        yield from _table("request", summary["list"], ("images", "outcome", "status", "seconds", "retry_of", "failure"))


def _doubts(summary: dict[str, Any]) -> Iterator[str]:
    doubt = summary["in_doubt"]
    skipped = f"; {summary['skipped']} images left without an answer" if summary["skipped"] else ""
    yield f"in doubt    {doubt['requests']} requests about {doubt['images']} images{skipped}"
    words = {"retry": "asked again", "skip": "left without an answer", None: "undecided, or under way"}
    for named in doubt["named"]:
        decided = words.get(named["decided"]) or _cell(named["decided"])
        yield f"            request {named['request']} of {named['asked']}, {named['images']} images: {decided}"


def _times(time: dict[str, Any]) -> Iterator[str]:
    if time["first"] is None:
        return
    yield f"time        {time['first']} to {time['last']}"
    if time["median"] is not None:
        spread = f"median {time['median']:.3f} s, 95% within {time['p95']:.3f} s"
        yield f"waiting     {time['waiting']:.1f} s over all requests; {spread}"


def _table(name: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    if not rows:
        return
    cells = [[name, *(column.replace("_", " ") for column in columns)]]
    cells += [[_cell(row[key]) for key in (name, *columns)] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns) + 1)]
    yield ""
    for row in cells:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    text = "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _size(count: int) -> str:
    return next((f"{count / scale:.1f} {unit}" for scale, unit in _SCALES if count >= scale), f"{count} bytes")
