"""`pixprompt bench`: a table or figure of a paper, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...core import ConfigError
from ..allocator import keep_freed_memory
from ..live_table import LiveTable
from ..options import json_option, print_result

if TYPE_CHECKING:
    from ...bench.run import BenchResult

__all__ = ["bench"]


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the benchmarks that come with pixprompt, and exit.")
@click.option("--miniature", is_flag=True, help="Run the small version, on what is at hand, in minutes.")
@click.option("--only", multiple=True, metavar="TEXT", help="Only the cells that have this in their name; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.  [default: benches/<name>]")
@click.option("--runs", type=click.Path(path_type=Path), help="Folder of the runs.  [default: runs beside --out]")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time, each a process.")
@click.option("--ray", metavar="ADDRESS", help="Perform the runs on a Ray cluster; 'local' starts one here.")
@click.option("--collect", is_flag=True, help="Run nothing; draw what the results say so far.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would run.")
@json_option
def bench(
    name: str | None,
    listing: bool,
    only: tuple[str, ...],
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the benchmark NAME, or a file of one, and write its table, figure and page.

    Each cell is a run of its own. A benchmark that was stopped continues with the same command, and a run that failed
    is tried once more; other benchmarks that need the same run share it.
    """
    if listing:
        _print_list(as_json)
        return
    if name is None:
        raise ConfigError("name a benchmark or a file of one; 'pixprompt bench --list' has the names.")
    if dry_run:
        _print_plan(name, options["miniature"], only, as_json)
        return
    from ...bench.run import bench as run, default_out

    keep_freed_memory()
    folder = out or default_out(name, options["miniature"])
    table = LiveTable()
    try:
        results = run(name, out=folder, only=only, reporter=table, on_update=table.update, **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command continues it") from None
    finally:
        table.close()
    print_result(_to_json(results), _lines(results), as_json)
    if results.failures:
        raise click.exceptions.Exit(1)


def _lines(results: BenchResult) -> Iterator[str]:
    from ...bench.text import wide_table

    yield f"{wide_table(results.summary)}\n"
    yield from (f"failed   {line['name']}: {line['error']}" for line in results.failures)
    files = (results.out / name for name in ("table.md", "figure.png", "index.html"))
    yield from (f"written  {path}" for path in files if path.exists())


def _print_list(as_json: bool) -> None:
    from ...bench import benchmark_names, read_benchmark

    benchmarks = {name: read_benchmark(name) for name in benchmark_names()}
    facts = {
        name: {"title": each.title, "source": each.source, "miniature": "missing" not in each.reduced}
        for name, each in benchmarks.items()
    }
    width = max(map(len, benchmarks), default=0)
    print_result(facts, (f"{name:{width}}  {each.title}" for name, each in benchmarks.items()), as_json)


def _print_plan(name: str, miniature: bool, only: tuple[str, ...], as_json: bool) -> None:
    from ...bench.run import plan

    planned = plan(name, miniature=miniature, only=only)
    lines = [f"cells    {planned['cells']}, which are {len(planned['runs'])} runs"]
    lines += [*(f"run      {run}" for run in planned["runs"]), *(f"missing  {what}" for what in planned["missing"])]
    print_result(planned, lines, as_json)


def _to_json(results: BenchResult) -> dict[str, Any]:
    return {
        "schema": 1,
        "benchmark": results.benchmark.name,
        "miniature": results.benchmark.small,
        "out": str(results.out),
        "runs": {"done": results.summary.done, "total": results.summary.total},
        "values": [
            {
                "row": row,
                "column": column,
                "mean": value.mean,
                "seeds": list(value.seeds),
                "ci95": value.interval,
                "kept": value.kept,
                "published": value.published,
                "certainty": value.certainty or None,
                "gain": value.gain,
            }
            for (row, column), value in results.summary.values.items()
        ],
        "failures": [dict(line) for line in results.failures],
    }
