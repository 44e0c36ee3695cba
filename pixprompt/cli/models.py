"""`pixprompt models`: the names, and models as bundles that need no network."""

from __future__ import annotations

from pathlib import Path

import click

from . import listings
from .options import json_option, print_result

__all__ = ["models"]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the models that have a short name, for --model; or fetch, bundle and check one."""
    if context.invoked_subcommand is None:
        context.invoke(listings.models, as_json=as_json)


@models.command
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Load the model NAME once, so that its weights lie in the cache of its library."""
    from ..models import load_model

    spec = load_model(name).spec
    facts = {"name": spec.name, "image_size": list(spec.image_size), "num_outputs": spec.num_outputs}
    line = f"{name} is here: {spec.num_outputs} outputs for {spec.image_size[0]}x{spec.image_size[1]}"
    print_result(facts, [line], as_json)


@models.command
@click.argument("name")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option(
    "--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Weights file for the model."
)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Picture whose answer is kept, to check the bundle by.  [default: a made one]",
)
@json_option
def bundle(name: str, out: Path, weights: Path | None, image: Path | None, as_json: bool) -> None:
    """Write the model NAME to a folder: weights, digests, preprocessing, and a picture with the answer about it.

    --model bundle:FOLDER then loads it, on a machine without a network, too.
    """
    from ..models import write_bundle

    values = write_bundle(name, out, weights=weights, image=image)
    print_result(values, [f"bundled {name}: --model bundle:{out}"], as_json)


@models.command
@click.argument("folder", metavar="BUNDLE", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Load the BUNDLE of a model: its digests, its preprocessing, and the answer about its picture must be as made."""
    from ..models import check_bundle

    values = check_bundle(folder)
    line = f"{folder} is whole: {values['name']}, {values['architecture']}, as it was made"
    print_result(values, [line], as_json)
