"""`pixprompt apply` when something goes wrong on the way: every image or its name, nothing half written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixprompt.bulk.jobs import Job
from pixprompt.bulk.prompter import Prompter
from pixprompt.cli import main
from pixprompt.core import PixpromptError
from pixprompt.prompt import Prompt, load

from ..images import expected, files, make_prompt, picture, read_rgb, write_broken, write_readable

START = [sys.executable, "-c", "import sys; from pixprompt.cli import main; sys.exit(main())", "apply"]


def test_unreadable_images_are_named_and_the_others_are_written(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write_readable(tmp_path / "in"), write_broken(tmp_path / "in/broken")
    out = tmp_path / "out"
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(out), "--json"]) == 1
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert values["written"] == len(files(out)) == len(good)
    assert [failure["path"] for failure in values["failed"]] == [str(path) for path in bad]
    assert all(failure["reason"] and str(tmp_path) not in failure["reason"] for failure in values["failed"])
    lines = captured.err.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"cannot read {path}" for path in bad]
    assert lines[-1] == f"{len(bad)} could not be read"


def test_without_json_the_count_is_told(tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "a.jpg")
    assert main(["apply", str(prompt_file), str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"1 images written to {tmp_path / 'out'} in ")
    assert captured.err == ""  # no bar where there is no terminal


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_to_nothing_is_one_more_unreadable_image(tmp_path: Path, prompt_file: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/gone.png").symlink_to(tmp_path / "nowhere.png")
    picture().save(tmp_path / "in/a.png")
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 1
    assert files(tmp_path / "out") == ["a.png"]


def test_an_unreadable_folder_is_named_and_the_others_are_walked(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in/locked").mkdir(parents=True)
    picture().save(tmp_path / "in/a.png")
    picture().save(tmp_path / "in/locked/b.png")
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # permission bits do not hold root back
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["failed"] == [{"path": str(tmp_path / "in/locked"), "reason": "Permission denied"}]
    assert f"cannot read {tmp_path / 'in/locked'}: Permission denied" in captured.err
    assert main(["apply", str(prompt_file), str(tmp_path / "in/locked"), "--out", str(tmp_path / "o")]) == 1
    assert "locked: Permission denied" in capsys.readouterr().err


_FULL = """
import resource, sys
from pixprompt.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
sys.exit(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_disk_that_is_full_ends_the_run_at_once(tmp_path: Path) -> None:
    """The limit stops large files only: what was written before stays, and nothing is tried after."""
    make_prompt((224, 224)).save(tmp_path / "p.png")
    (tmp_path / "in").mkdir()
    for number in range(60):
        content = picture(256, 256, number) if number >= 3 else Image.new("RGB", (256, 256))
        content.save(tmp_path / "in" / f"{number:02}.png")
    rgba = np.zeros((224, 224, 4), np.uint8)
    Prompt(rgba, load(tmp_path / "p.png").canvas, "over", None, {}).save(tmp_path / "p.png")
    command = [sys.executable, "-c", _FULL, "apply", str(tmp_path / "p.png"), str(tmp_path / "in")]
    process = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--workers", "2"], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.count("cannot write") == 1
    assert process.stderr.startswith(f"Error: cannot write {tmp_path / 'out' / '03.png'}: ")
    assert files(tmp_path / "out") == ["00.png", "01.png", "02.png"]


def test_after_a_failed_write_no_further_image_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def full(path: Path, content: bytes, *, durable: bool) -> None:
        begun.append(path)
        raise PixpromptError("cannot write: No space left on device")

    monkeypatch.setattr("pixprompt.stores.write_bytes", full)
    picture().save(tmp_path / "a.png")
    jobs = [Job(tmp_path / "a.png", (tmp_path / f"{number}.png",)) for number in range(10_000)]
    with pytest.raises(PixpromptError):
        list(Prompter(make_prompt(), lambda pixels: b"").work_all(jobs, workers=2))
    assert len(begun) <= 16


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("num_rows", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_on_the_way_and_leaves_whole_files_only(tmp_path: Path, num_rows: int, code: int) -> None:
    prompt = make_prompt((224, 224))
    prompt.save(tmp_path / "p.png")
    (tmp_path / "in").mkdir()
    picture(400, 400).save(tmp_path / "in/0.jpg")
    for number in range(1, 3000):
        os.link(tmp_path / "in/0.jpg", tmp_path / f"in/{number}.jpg")
    out = tmp_path / "out"
    command = [*START, str(tmp_path / "p.png"), str(tmp_path / "in"), "--out", str(out), "--workers", "2", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (out.exists() and len(os.listdir(out)) > 40) and process.poll() is None:
        time.sleep(0.01)  # until more are written than the 16 that can be ahead of those that are told of
    process.send_signal(num_rows)
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stdout) == (code, "")
    message = re.search(r"^interrupted: (\d+) of 3000 images written to ", stderr, re.MULTILINE)
    assert message, stderr
    assert "Traceback" not in stderr
    names = files(out)
    assert 0 < int(message[1]) <= len(names) < 3000
    assert all(name.endswith(".png") and not name.startswith(".") for name in names)
    truth = expected(prompt, tmp_path / "in/0.jpg")
    assert all(np.array_equal(read_rgb(out / name), truth) for name in (names[0], names[-1]))


def test_a_bar_is_drawn_on_a_terminal_only(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_broken(tmp_path / "in")
    picture().save(tmp_path / "in/a.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "5/5" in captured.err
    assert captured.err.count("cannot read") == 4
