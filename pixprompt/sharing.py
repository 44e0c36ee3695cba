"""Prompts on the Hugging Face Hub: pushed, pulled, and loaded by the name hf:OWNER/NAME. No torch import.

The client is `huggingface_hub`, and keys are its own affair: nothing here reads, takes or prints one. Only files of the
names in FILES go either way. None of them can name code: a repository is no run of the user's own, so that a model, an
address or a method that it names counts as little as that of a picture.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .core import ConfigError, PixpromptError
from .files import make_folder, write_bytes
from .urls import reachable

__all__ = ["FILES", "LEARNED_FILES", "find_file", "local_path", "prompt_path", "pull", "push"]

LEARNED_FILES = ("prompt.png", "adapter.safetensors")
"""What was learned; a run has one of the two."""
FILES = (*LEARNED_FILES, "README.md", "result.json", "history.jsonl", "curves.png", "preview.png")
"""Of a run, what is shared; configuration, checkpoint and ledger, which know paths, addresses and answers, are not."""
_SCHEME = "hf:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,39}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)


def local_path(source: str | Path) -> Path:
    """Returns the path of what was learned: of hf:OWNER/NAME[@REVISION] fetched first, any other as it is.

    Raises:
        ConfigError: The name has another form.
        PixpromptError: The repository cannot be read, or holds nothing that was learned.
    """
    if not str(source).startswith(_SCHEME):
        return Path(source)
    repo, _, revision = str(source).removeprefix(_SCHEME).partition("@")
    return find_file(_snapshot(repo, revision or None, LEARNED_FILES))


def prompt_path(source: str | Path) -> Path:
    """Returns the path of a prompt PNG: of a folder the one in it, otherwise as `local_path`."""
    path = local_path(source)
    return path / "prompt.png" if path.is_dir() else path


def find_file(folder: Path) -> Path:
    """Returns the file of a folder that holds what was learned.

    Raises:
        PixpromptError: There is none.
    """
    for name in LEARNED_FILES:
        if (folder / name).exists():
            return folder / name
    raise PixpromptError(f"{folder} holds neither {' nor '.join(LEARNED_FILES)}.")


def pull(repo: str, out: Path, *, revision: str | None = None) -> list[Path]:
    """Copies the files of a repository to a folder, and returns them.

    Raises:
        ConfigError: The name has another form.
        PixpromptError: The repository cannot be read, or the folder cannot be written.
    """
    snapshot = _snapshot(repo, revision, FILES)
    find_file(snapshot)
    make_folder(out)
    if (out / "config.json").exists():
        raise ConfigError(f"{out} is a run of your own; choose another folder with --out.")
    names = [name for name in FILES if (snapshot / name).is_file()]
    for name in names:
        write_bytes(out / name, (snapshot / name).read_bytes())
    return [out / name for name in names]


def push(folder: Path, repo: str, *, private: bool = False, license_id: str | None = None) -> str:
    """Uploads the shared files of a finished run, and returns the address of the commit.

    Args:
        repo: OWNER/NAME; made where it is missing.
        private: Whether a new repository is seen by its owner alone.
        license_id: An identifier that the hub knows, such as "apache-2.0", for the card.

    Raises:
        ConfigError: The folder holds no finished run, or the name has another form.
        PixpromptError: The hub refuses.
    """
    _check(_NAME, repo, "a repository is named OWNER/NAME")
    if not (folder / "result.json").exists():
        raise ConfigError(f"{folder} is no finished run: there is no result.json.")
    find_file(folder)
    if license_id is not None:
        _check(_LICENSE, license_id, "a licence is named as the hub names it")
        card = (folder / "README.md").read_text("utf-8")
        write_bytes(
            folder / "README.md", re.sub(r"(?m)^license: .*$", f"license: {license_id}", card, count=1).encode()
        )
    with _hub(f"push to {repo}") as hub:
        api = hub.HfApi(library_name="pixprompt")
        api.create_repo(repo, private=private, exist_ok=True)
        operations = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name)
            for name in FILES
            if (folder / name).exists()
        ]
        return str(api.create_commit(repo, operations, commit_message="A prompt, by pixprompt").commit_url)


def _snapshot(repo: str, revision: str | None, names: tuple[str, ...]) -> Path:
    _check(_NAME, repo, "a repository is named OWNER/NAME")
    if revision is not None:
        _check(_REVISION, revision, "a revision is a branch, a tag or a commit")
    with _hub(f"read {repo}") as hub:
        offline = not reachable(hub.constants.ENDPOINT)  # the client would try for a minute
        return Path(
            hub.snapshot_download(repo, revision=revision, allow_patterns=list(names), local_files_only=offline)
        )


def _check(form: re.Pattern[str], text: str, rule: str) -> None:
    if not form.fullmatch(text) or ".." in text:
        raise ConfigError(f"{rule}, got {text!r}.")


@contextmanager
def _hub(what: str) -> Iterator[Any]:
    """Gives the client, quietly, and words its failures."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    hub: Any = importlib.import_module("huggingface_hub")
    bars: Any = importlib.import_module("huggingface_hub.utils")
    importlib.import_module("huggingface_hub.constants")
    had_bars = not bars.are_progress_bars_disabled()
    bars.disable_progress_bars()
    try:
        yield hub
    except LocalEntryNotFoundError as error:
        raise PixpromptError(
            f"cannot {what}: {hub.constants.ENDPOINT} cannot be reached, and its local cache does not hold it."
        ) from error
    except (HfHubHTTPError, OSError, ValueError, TypeError, KeyError) as error:  # the last ones of replies that are odd
        status = getattr(getattr(error, "response", None), "status_code", None)
        remedy = " Log in with: hf auth login" if status in (401, 403) else ""
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise PixpromptError(f"cannot {what}: {reason.rstrip('.')}.{remedy}") from error
    finally:
        if had_bars:
            bars.enable_progress_bars()
