"""`pixprompt datasets`: what data sets there are, what is known about one, and preparing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import Console
from .options import json_option, print_names, print_result

if TYPE_CHECKING:
    from ..data.catalogue import DataSet

__all__ = ["datasets"]


@click.group("datasets", invoke_without_command=True)
@json_option
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List the data sets that have a short name, for --data; show or prepare one."""
    if context.invoked_subcommand is None:
        from ..data.catalogue import DATASETS

        print_names(DATASETS.describe(), as_json)


@datasets.command("list")
@click.option("--of", "benchmark", help="Only the sets of a benchmark: vp, wilds, fgvc, vtab, hta, coop.")
@json_option
def list_sets(benchmark: str | None, as_json: bool) -> None:
    """List the data sets that have a short name, one line each."""
    from ..core import UnknownName
    from ..data.catalogue import BENCHMARKS, DATASETS
    from ..registry import suggest

    if benchmark is not None and benchmark not in BENCHMARKS:
        close = suggest(benchmark, BENCHMARKS)
        raise UnknownName(f"unknown benchmark {benchmark!r}.{close} Known: {', '.join(BENCHMARKS)}.")
    lines = DATASETS.describe()
    print_names({name: lines[name] for name in DATASETS if benchmark in (None, *DATASETS[name].papers)}, as_json)


@datasets.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Say what is known about a data set: classes, official splits, licence, size, source, texts, where it is."""
    from ..data.catalogue import DATASETS

    facts = _facts(DATASETS[name])
    print_result(facts, _fact_lines(facts), as_json)


def _fact_lines(facts: dict[str, Any]) -> Iterator[str]:
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{part} {size:,}" if isinstance(size, int) else f"{part} {size}" for part, size in value.items()
            )
        elif isinstance(value, list):
            value = " | ".join(value) if key.startswith("texts") else ", ".join(value)
        if value:
            yield f"{key.replace('_', ' '):12}{value}"


@datasets.command()
@click.argument("name")
@click.option("--from", "source", type=click.Path(path_type=Path), help="Folder or archive in the official layout.")
@click.option("--download", is_flag=True, help="Download it, where its makers' link works.")
@click.option(
    "--splits", type=click.Path(path_type=Path), help="Folder of split manifests that say who is in which split."
)
@click.option("--dry-run", is_flag=True, help="Check counts and classes without opening an image; write nothing.")
@click.option("--workers", type=click.IntRange(1), default=4, help="Threads that read files.  [default: 4]")
@json_option
def prepare(
    name: str, source: Path | None, download: bool, splits: Path | None, dry_run: bool, workers: int, as_json: bool
) -> None:
    """Check a data set against its official counts, and write down which images its splits hold.

    An archive is unpacked below the data folder ($PIXPROMPT_DATA); a folder stays where it is. Interrupted, it goes on
    where it stopped when it is called again.
    """
    from ..data.catalogue import DATASETS
    from ..data.prepare import prepare as prepare_set

    with Console() as console:
        summary = prepare_set(
            DATASETS[name],
            source,
            progress=console,
            download=download,
            manifests=splits,
            check_only=dry_run,
            workers=workers,
        )
    counts = ", ".join(f"{part} {size:,}" for part, size in summary.sizes.items())
    lines = [f"{name}: {summary.num_classes} classes; {counts}; images in {summary.root}"]
    lines += [f"{part:10}{digest}" for part, digest in summary.digests.items()]
    if summary.duplicates:
        lines.append(f"{len(summary.duplicates)} images of one split are in another, too.")
    if not dry_run:
        lines.append(f"prepared in {summary.folder}: --data {name}")
    print_result(summary.to_json(), lines, as_json)


def _facts(data: DataSet) -> dict[str, Any]:
    from ..data.catalogue import data_folder
    from ..data.prepare import prepared_folder
    from ..outputs import texts_for

    prepared, home = prepared_folder(data.name), data.default_root()
    where = f"prepared in {prepared}" if (prepared / "set.json").is_file() else str(home) if home else "not here"
    return {
        "name": data.name,
        "holds": data.line,
        "classes": data.num_classes,
        "class_names": list(data.classes),
        "splits": dict(data.sizes),
        "source": data.source,
        "licence": data.licence,
        "size": data.size,
        "here": "installed" if data.built_in else where,
        "to_bring": [] if data.built_in else list(data.layout.needs),
        "folder": str(data_folder() / data.place),
        "download": data.download is not None,
        "needs": list(data.layout.modules),
        "note": data.note,
        "benchmarks": list(data.papers),
        "texts_vp": list(texts_for(data.name, "paper")),
        "texts_coop": list(texts_for(data.name, "coop")),
        "texts_clip": list(texts_for(data.name, "clip")),
        "unchecked": list(data.unchecked),
        "digests": dict(data.digests),
    }
