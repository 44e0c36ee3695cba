"""`pixprompt train`: options in, run directory out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ...core import ConfigError
from ...engine.budget.allocation import PURPOSES
from ...engine.config.settings_file import read_settings
from ...engine.config.train_config import FREE, TrainConfig, default_folder
from ...engine.progress import Reporter, Silent
from ...engine.ranks import is_first_process
from ...engine.result import RUNGS, TITLES, Result
from ...engine.trackers import Tracked
from ...requirements import missing_package
from ..allocator import keep_freed_memory
from ..calls import with_policy
from ..console import Console
from ..options import json_option, print_json
from ..own_code import load_named
from ..settings import RunCommand, config_options

__all__ = ["format_ladder", "train"]

_WRITTEN = (
    ("prompt", "prompt.png"),
    ("adapter", "adapter.safetensors"),
    ("student", "student.safetensors"),
    ("student", "student.png"),
    ("preview", "preview.png"),
    ("result", "result.json"),
)


@click.command(cls=RunCommand, options_metavar="[METHOD] [OPTIONS]")
@config_options
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Start from a file of settings: TOML, YAML or JSON, such as the config.json of a run.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run directory.  [default: runs/<model>-<data>-<method>-<time>-seed<seed>]",
)
@click.option("--resume", type=click.Path(path_type=Path), help="Run directory to continue.")
@click.option(
    "--track", multiple=True, type=click.Choice(("tensorboard", "wandb")), help="Where else the history goes to."
)
@click.option("--dry-run", is_flag=True, help="Check everything and print parameters, queries and cost; learn nothing.")
@json_option
def train(
    config_file: Path | None,
    out: Path | None,
    resume: Path | None,
    track: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn a prompt for a model and a data set, and save it as a PNG.

    Without options this turns an ImageNet classifier into a reader of handwritten digits. Settings that are not given
    are decided by --preset.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    load_named(chosen)
    if resume is not None and (chosen.keys() - set(FREE) or config_file or out or dry_run):
        raise ConfigError(
            "--resume continues a run as it was configured; only what it may cost can change: "
            f"{', '.join('--' + name.replace('_', '-') for name in FREE)}."
        )
    saved = _read(config_file, chosen) if config_file else TrainConfig()
    config = saved.with_values(**chosen)
    if config_file and config.preset != saved.preset:
        raise ConfigError("the settings of a saved configuration are decided already; leave out --preset or --config.")
    if dry_run:
        _print_plan(_plan(config), as_json)
        return
    keep_freed_memory()
    folder = resume or out or default_folder(config.model.name, config.data.name, config.method.name, config.seed)
    first = is_first_process()
    console: Console | Silent = Console() if first else Silent()
    try:
        with closing(Tracked(console, track if first else (), folder, config.to_json())) as reporter:
            result = _run(config, folder, resume is not None, chosen, reporter)
            reporter.result(result)
    except KeyboardInterrupt:
        if not (folder / "config.json").exists():
            raise
        raise KeyboardInterrupt(
            f"interrupted; continue with: pixprompt train --resume {shlex.quote(str(folder))}"
        ) from None
    finally:
        console.close()
    if first:
        _print_result(result, folder, as_json)


def _print_result(result: Result, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    click.echo(format_ladder(result))
    click.echo("\n".join(f"{name:8} {folder / file}" for name, file in _WRITTEN if (folder / file).exists()))


def _plan(config: TrainConfig) -> dict[str, Any]:
    """Returns the plan of a run; where torch is missing, what is known of one with a remote model."""
    try:
        from ...engine.parts import build
        from ...engine.run import plan
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
    else:
        return plan(build(config, pretrained=False))
    from ...engine.inputs.run_inputs import open_inputs, outline

    inputs = open_inputs(config)  # a local model ends here, for want of the same package
    budget = inputs.config.search.budget or 0
    return {
        **outline(inputs.config, inputs.model, inputs.data, budget),
        "parameters": None,
        "queries": {"total": budget},
        "outlook": [f"The run takes these queries at most. What they are spent on is not known here: {missing}"],
    }


def _run(config: TrainConfig, folder: Path, resume: bool, options: dict[str, Any], reporter: Reporter) -> Result:
    from ...engine.run import train as run

    def work(policy: str | None) -> Result:
        again = resume or (policy is not None and (folder / "config.json").exists())
        changes = {**options, **({"in_doubt": policy} if policy else {})}
        return run(config, out=folder, resume=again, changes=changes if again else None, reporter=reporter)

    return with_policy(work, options.get("in_doubt") if resume else None)


def _read(path: Path, changes: Mapping[str, Any]) -> TrainConfig:
    """Reads a saved configuration, whose models need the user's word unless the command line names others."""
    from ...engine.inputs.trust import check_trusted

    saved = TrainConfig.from_json(read_settings(path), source=path)
    check_trusted(saved.options(), path, except_for=changes)
    return saved


def format_ladder(result: Result) -> str:
    """Returns the ladder as a table, with the notes below it."""
    lines = [f"{'':34}{'val':>7}{'test':>8}   95% interval    queries   output"]
    several = result.queries.get("per_prediction", 1)
    for rung in RUNGS:
        score = result.accuracy.get(rung)
        val = "-" if score is None or score.val is None else f"{score.val:.3f}"
        test = "-" if score is None or score.test is None else f"{score.test:.3f}"
        interval = "" if score is None or score.ci95 is None else f"{score.ci95[0]:.3f} - {score.ci95[1]:.3f}"
        output = "" if score is None else score.output
        title = "adapter as trained" if rung == "prompt_float" and result.best == "adapter" else TITLES[rung]
        if rung == "prompt_png" and result.best == "adapter":
            continue
        if rung == "prompt_png" and result.best == "none":
            title = result.none_kept or title
        price = "" if score is None else f"{several:.3g}" if rung.startswith("prompt") else "1"
        lines.append(f"{title:34}{val:>7}{test:>8}   {interval:13}   {price:>7}   {output}".rstrip())
    lines += [*_student_lines(result), "", *_change_lines(result), *result.notes]
    if result.max_pixel_difference is not None:
        lines.append(f"Largest pixel difference between memory and PNG: {result.max_pixel_difference}.")
    cost = "" if result.queries["cost"] is None else f" (cost {result.queries['cost']})"
    lines.append(f"{result.queries['images']} queries{cost}, {result.seconds:.0f} s.")
    return "\n".join(lines)


def _change_lines(result: Result) -> Iterator[str]:
    """Yields a table of what each step changes, on the same test images."""
    if not result.changes:
        return
    names = {"no_prompt": "no prompt", "output_only": "the best output transform"}
    yield f"{'change, on the same test images':44}{'points':>7}   95% paired interval"
    for change in result.changes:
        after = names.get(change.after, "adapter" if result.best == "adapter" else "prompt")
        low, high = (100 * end for end in change.ci95)
        chance = "   may be chance" if low <= 0 <= high else ""
        title = f"{after} over {names[change.before]}"
        yield f"{title:44}{100 * change.share:>+7.1f}   {f'{low:+.1f} to {high:+.1f}':20}{chance}".rstrip()
    yield ""


def _student_lines(result: Result) -> Iterator[str]:
    """Yields the rows of the local student: alone, which costs no query, and in front of the paid model."""
    if result.student is None:
        return
    alone, first = result.student["accuracy"], result.student["first"]
    interval = "" if alone["ci95"] is None else f"{alone['ci95'][0]:.3f} - {alone['ci95'][1]:.3f}"
    rows = [("student alone", alone["val"], alone["test"], interval, 0.0, alone["output"])]
    if first is not None and first["threshold"] is not None:
        rows.append(("student first, then the model", None, first["test"], "", first["per_prediction"], ""))
    for title, val, test, between, price, output in rows:
        scores = ["-" if score is None else f"{score:.3f}" for score in (val, test)]
        yield f"{title:34}{scores[0]:>7}{scores[1]:>8}   {between:13}   {price:>7.3g}   {output}".rstrip()


def _print_plan(planned: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(planned)
        return
    counts, queries = planned["counts"], planned["queries"]
    click.echo("images      " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    if planned["parameters"] is not None:
        click.echo(f"parameters  {planned['parameters']}")
    for name, count in queries.items():
        what = f"  {PURPOSES[name]}" if name in PURPOSES and "head" in queries else ""
        click.echo(f"queries     {name.replace('_', ' '):14}{count:>10}{what}")
    if planned["cost"] is not None:
        click.echo(f"cost        {planned['cost']}")
    for line in planned["outlook"]:
        click.echo(f"outlook     {line}")
    if "calls" in planned:
        calls = planned["calls"]
        click.echo(f"requests    {calls['requests']} or more, of up to {calls['max_batch']} images; then come retries")
        most = planned["config"]["endpoint"]["max_requests"]
        if most is not None and most < calls["requests"]:
            click.echo(f"            --max-requests {most} is not enough: the run would stop there")
        seconds = calls["seconds"]
        duration = "is told after the first request; or give --rate" if seconds is None else f"{seconds} s at least"
        click.echo(f"time        {duration}")
        click.echo(f"first       a request about {calls['first']}, before any other")
