"""`pixprompt push` and `pixprompt pull`: prompts on the Hugging Face Hub. No torch import."""

from __future__ import annotations

from pathlib import Path

import click

from ... import sharing
from ..options import json_option, print_result

__all__ = ["pull", "push"]


@click.command
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make a new repository that only its owner sees.")
@click.option("--license", "license_id", help="Licence for the model card, as the hub names it: apache-2.0, ...")
@json_option
def push(run: Path, repository: str, private: bool, license_id: str | None, as_json: bool) -> None:
    """Upload a finished RUN to a repository of the Hugging Face Hub: what was learned, its model card and its figures.

    The configuration, the checkpoint and the ledger stay here. The key is that of the hub's own login, `hf auth login`.
    """
    url = sharing.push(run, repository, private=private, license_id=license_id)
    print_result({"repository": repository, "commit": url}, [f"pushed {run} to {url}"], as_json)


@click.command
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--revision", help="Branch, tag or commit.  [default: the newest]")
@json_option
def pull(repository: str, out: Path, revision: str | None, as_json: bool) -> None:
    """Copy a prompt, its model card and its figures from a repository of the Hugging Face Hub to a folder.

    The folder is no run of yours: the model that a prompt names there is not opened by its word where that is code, an
    address or a repository; say --model.
    """
    files = [str(path) for path in sharing.pull(repository, out, revision=revision)]
    print_result({"repository": repository, "files": files}, files, as_json)
