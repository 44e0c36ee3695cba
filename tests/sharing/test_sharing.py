"""Prompts through a stand-in of the hub, with the hub's own client, unchanged, in programs of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pixprompt.core import ConfigError, PixpromptError
from pixprompt.engine.saved.source import Source
from pixprompt.sharing import FILES, find_file, local_path, push

from ..images import files, make_prompt, picture
from .hub_server import TOKEN, Hub, serve_hub

START = "import sys; from pixprompt.cli import main; sys.exit(main())"
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as server:
        yield server


@pytest.fixture
def call(hub: Hub, tmp_path: Path) -> Call:
    """Runs the command line, whose client takes the stand-in for the hub and a file for its login."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(TOKEN)
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name.lower()
    }

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", START, *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**environment, **own})

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What a run leaves, as far as it is shared, and what is not."""
    folder = tmp_path / "run"
    folder.mkdir()
    make_prompt().save(folder / "prompt.png")
    (folder / "README.md").write_text("---\nlicense: unknown\n---\n# A card\nlicense: unknown\n")
    for name in ("result.json", "config.json", "ledger.sqlite"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.slow
def test_a_run_goes_to_the_hub_and_comes_back(run_folder: Path, hub: Hub, call: Call, tmp_path: Path) -> None:
    answer = call("push", run_folder, "me/digits", "--private", "--license", "apache-2.0")
    assert answer.returncode == 0, answer.stderr
    there = hub.repos["me/digits"]
    assert sorted(there) == ["README.md", "prompt.png", "result.json"]
    assert there["prompt.png"] == (run_folder / "prompt.png").read_bytes()
    assert there["README.md"].decode() == "---\nlicense: apache-2.0\n---\n# A card\nlicense: unknown\n"
    assert hub.private["me/digits"]
    there |= {"config.json": b"{}", "run.py": b"1/0", "../escape": b"x"}  # whatever else somebody put there
    answer = call("pull", "me/digits", "--out", "copy")
    assert (answer.returncode, files(tmp_path / "copy")) == (0, ["README.md", "prompt.png", "result.json"]), (
        answer.stderr
    )
    picture().save(tmp_path / "a.png")
    for source, out in (("run", "1"), ("copy", "2"), ("hf:me/digits", "3"), ("hf:me/digits@main", "4")):
        answer = call("apply", source, "a.png", "--out", out)
        assert answer.returncode == 0, answer.stderr
        assert (tmp_path / out / "a.png").read_bytes() == (tmp_path / "1/a.png").read_bytes()
    assert {token for _, _, token in hub.requests} == {f"Bearer {TOKEN}"}
    hub.shutdown()  # what was fetched once is there without the hub
    hub.server_close()
    assert call("inspect", "hf:me/digits").returncode == 0
    assert "cannot be reached" in call("inspect", "hf:me/other").stderr


@pytest.mark.slow
def test_refusals_are_said_and_no_key_shows(run_folder: Path, hub: Hub, call: Call, tmp_path: Path) -> None:
    (tmp_path / "home/token").write_text("hf_expired_key")
    answer = call("push", run_folder, "me/digits")
    assert answer.returncode == 1
    assert "hf auth login" in answer.stderr
    assert "expired_key" not in answer.stdout + answer.stderr
    assert not hub.repos
    answer = call("pull", "me/none", "--out", "copy")
    assert answer.returncode == 1
    assert not (tmp_path / "copy").exists()
    hub.repos["me/empty"] = {"README.md": b"nothing"}
    assert "holds neither" in call("pull", "me/empty", "--out", "copy").stderr


@pytest.mark.slow
def test_a_file_from_the_hub_opens_no_code(run_folder: Path, hub: Hub, call: Call, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("open('ran', 'w')\ndef net(images): return images\n")
    replace(make_prompt(), model="python:evil:net@32").save(run_folder / "prompt.png")
    picture().save(tmp_path / "a.png")
    hub.repos["you/prompt"] = {"prompt.png": (run_folder / "prompt.png").read_bytes()}
    assert call("pull", "you/prompt", "--out", "copy").returncode == 0
    for source in ("hf:you/prompt", "copy", "copy/prompt.png"):
        answer = call("predict", source, "a.png")
        assert answer.returncode == 2
        assert "a file must not decide" in answer.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["nobody", "a/b/c", "../x/y", "a/..", "a b/c", "a/b@../main", "http://host/a"])
def test_names_of_another_form_are_refused_before_anything_is_asked(name: str, run_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"OWNER/NAME|a revision is"):
        local_path(f"hf:{name}")


def test_only_finished_runs_are_pushed_and_runs_are_not_pulled_over(run_folder: Path) -> None:
    (run_folder / "result.json").unlink()
    with pytest.raises(ConfigError, match="no finished run"):
        push(run_folder, "me/digits")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        push(run_folder, "digits")


def test_a_folder_without_a_configuration_holds_a_file(run_folder: Path) -> None:
    (run_folder / "config.json").write_text("[]")  # a run, and none that can be read
    with pytest.raises(ConfigError):
        Source.of(run_folder)
    (run_folder / "config.json").unlink()
    assert Source.of(run_folder) == Source(run_folder / "prompt.png", None)
    (run_folder / "prompt.png").unlink()
    with pytest.raises(PixpromptError, match="holds neither"):
        find_file(run_folder)
    with pytest.raises(ConfigError, match="no run directory"):
        Source.of(run_folder)


def test_what_is_shared_knows_no_secrets_of_the_machine() -> None:
    assert [name for name in (*FILES, "config.json") if re.search(r"config|ledger|checkpoint|\.py", name)] == [
        "config.json"
    ]
