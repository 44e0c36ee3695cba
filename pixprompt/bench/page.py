"""The page of a benchmark: one HTML file with its pictures inside, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..files import write_bytes
from ..report.page.environment import environment, png_uri, svg_uri
from ..version import __version__
from .benchmark import Benchmark, Cell
from .summary import Summary
from .text import long_rows, wide_rows

__all__ = ["write_page"]

Line = Mapping[str, Any]


def write_page(
    benchmark: Benchmark,
    summary: Summary,
    figure: Figure | None,
    pictures: Sequence[Path],
    results: Mapping[str, Line],
    cells: Sequence[tuple[Cell, str]],
    failures: Sequence[Line],
    folder: Path,
) -> None:
    """Writes `index.html`.

    Args:
        figure: The figure; None where nothing was measured.
        pictures: Pictures of what was learned.
        results: Key of a run -> its line.
        cells: The cells, each with the key of its run.
    """
    from ..plots import to_svg

    own = [results[key] for key in dict.fromkeys(key for _, key in cells) if key in results]
    text = (
        environment()
        .get_template("benchmark.html")
        .render(
            version=__version__,
            benchmark=benchmark,
            summary=summary,
            wide=wide_rows(summary),
            long=list(long_rows(summary)),
            figure=None if figure is None else svg_uri(to_svg(figure)),
            pictures=[(path.stem, png_uri(path.read_bytes())) for path in pictures],
            runs=[[line["name"], line["run"], f"{line['result'].get('seconds', 0):.0f}", line["machine"], line["when"],
                   " ".join(f"{name} {value}" for name, value in line["versions"].items())] for line in own],
            failures=[[line["name"], line["error"], str(line["attempt"]), line["when"]] for line in failures],
        )
    )  # fmt: skip
    write_bytes(folder / "index.html", text.encode("utf-8", "replace"))
