"""The folder of a run: whose it is, and what may lie in it."""

import json
from pathlib import Path

import pytest

from pixprompt.core import ConfigError
from pixprompt.engine.run_folder import RunFolder, identity


def test_a_new_run_takes_a_new_or_an_empty_folder_and_no_other(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "new", resume=False)
    (tmp_path / ".config-1.json.tmp").write_text("of a run that was killed while it claimed the folder")
    RunFolder.open(tmp_path, resume=False)
    (tmp_path / "notes.txt").write_text("of somebody")
    with pytest.raises(ConfigError, match="not empty"):
        RunFolder.open(tmp_path, resume=False)
    assert (tmp_path / "notes.txt").exists()


def test_half_written_files_go_when_a_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    halves = [tmp_path / ".result.json.tmp", tmp_path / "checkpoint" / ".state.safetensors.tmp"]
    for path in (*halves, tmp_path / "config.json"):
        path.write_text("{}")
    with RunFolder.open(tmp_path, resume=True):
        assert [path.exists() for path in halves] == [False, False]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["config.json"]


def test_of_two_runs_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    first, second = (RunFolder.open(tmp_path / "run", resume=False) for _ in range(2))
    with first:
        first.claim({"seed": 1})
        assert (tmp_path / "run" / ".run-lock").exists()
    with pytest.raises(ConfigError, match="another run has just started"):
        second.claim({"seed": 2})
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"seed": 1}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    RunFolder.open(tmp_path / "run", resume=True).claim({"seed": 1, "workers": 2})
    assert json.loads((tmp_path / "run" / "config.json").read_text())["workers"] == 2


def test_what_another_run_has_left_is_refused(tmp_path: Path) -> None:
    folder, own = RunFolder(tmp_path), identity(model="a", classes=["b", "c"])
    folder.check_identity(None, own)
    folder.check_identity(own, identity(model="a", classes=("b", "c")))
    with pytest.raises(ConfigError, match="was started with other"):
        folder.check_identity(own, identity(model="a", classes=["c", "b"]))
