"""Tables of a benchmark as text, for the terminal, for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Iterator

from .summary import Summary, Value

__all__ = ["long_rows", "long_table", "number", "wide_rows", "wide_table"]

LONG = ("row", "column", "measured", "95% interval", "published", "difference", "what was kept", "against the baseline")
MISSING = "–"


def number(value: float | None, is_share: bool = True) -> str:
    """Returns a share in percent with one decimal, or another number with three digits."""
    return MISSING if value is None else f"{100 * value:.1f}" if is_share else f"{value:.3g}"


def wide_rows(summary: Summary) -> list[list[str]]:
    """Returns the head and a row of means per row, the published number in brackets."""
    rows = [["", *summary.columns]]
    for row in summary.rows:
        values = (summary[row.label, column] for column in summary.columns)
        rows.append([row.label, *(_short(value) for value in values)])
    return rows


def _short(value: Value) -> str:
    text = number(value.mean, value.is_share)
    if value.mean is not None and len(value.seeds) > 1 and value.interval is not None:
        text += f" ± {number((value.interval[1] - value.interval[0]) / 2, value.is_share)}"
    if value.missing and value.mean is not None:
        text += "*"
    return text if value.published is None else f"{text} [{number(value.published, value.is_share)}]"


def wide_table(summary: Summary) -> str:
    """Returns the means as a Markdown table."""
    note = f"{summary.done} of {summary.total} runs. Means over the seeds, ± half of their 95% interval; "
    note += "in brackets what was published. In percent, but for distances and counts."
    if any(value.missing and value.mean is not None for value in summary.values.values()):
        note += " *: of the data sets that there are."
    return f"{_markdown(wide_rows(summary))}\n\n{note}"


def long_rows(summary: Summary) -> Iterator[list[str]]:
    """Yields the head and a row per number that was measured."""
    yield list(LONG)
    for row in summary.rows:
        for column in summary.columns:
            value = summary[row.label, column]
            if value.mean is not None:
                yield [row.label, column, *_cells(value)]


def _cells(value: Value) -> list[str]:
    share, mean = value.is_share, value.mean or 0.0
    ends = value.interval
    seeds = "" if len(value.seeds) < 2 else f" ({len(value.seeds)} seeds)"
    published = number(value.published, share) + ("" if value.certainty in ("", "read") else f" ({value.certainty})")
    difference = MISSING if value.published is None else _signed(mean - value.published, share)
    gain = value.gain
    return [
        number(mean, share) + seeds,
        MISSING if ends is None else f"{number(ends[0], share)} to {number(ends[1], share)}",
        published,
        difference,
        "as measured" if value.kept is None else number(value.kept, share),
        MISSING if gain is None else f"{_signed(gain[0])} ({_signed(gain[1])} to {_signed(gain[2])})",
    ]


def _signed(value: float, is_share: bool = True) -> str:
    return f"{100 * value:+.1f}" if is_share else f"{value:+.3g}"


def long_table(summary: Summary) -> str:
    """Returns every number with its interval, what was published and what was kept, as a Markdown table."""
    return _markdown(list(long_rows(summary)))


def _markdown(rows: list[list[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
