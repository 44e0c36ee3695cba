"""`pixprompt export`: a prompt in forms that need no pixprompt. No torch import."""

from __future__ import annotations

from pathlib import Path

import click

from ...export import FORMS, export_prompt
from ...prompt import load_committee
from ...sharing import prompt_path
from ..options import json_option, print_result

__all__ = ["export"]


@click.command
@click.argument("prompt_file", metavar="PROMPT.png|RUN|hf:OWNER/NAME")
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(list(FORMS)),
    help=f"What to write. {'; '.join(f'{form} is {text}' for form, text in FORMS.items())}.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="exported",
    show_default=True,
    help="Folder to write to.",
)
@json_option
def export(prompt_file: str, form: str, out: Path, as_json: bool) -> None:
    """Write PROMPT.png, or the prompt of a run, in a form that other languages and tools read.

    Beside the form itself it writes canvas.json, the steps that make a canvas of an image, and output.json, how answers
    become logits of the classes. Each view of a prompt that has several goes to a folder of its own. A form that
    cannot do exactly what the prompt does is refused.
    """
    prompt = load_committee(prompt_path(prompt_file))
    files = export_prompt(prompt, out, form)
    names = [str(path) for path in files]
    print_result({"to": form, "views": len(prompt.pages), "files": names}, names, as_json)
