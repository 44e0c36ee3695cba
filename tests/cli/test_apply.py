"""`pixprompt apply`: exact pixels, every image or its name, nothing overwritten, nothing half written."""

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

from pixprompt.canvas import decode
from pixprompt.cli import main
from pixprompt.cli.apply import IMAGE_SUFFIXES, Job, put_prompt
from pixprompt.core import PixpromptError
from pixprompt.prompt import BLENDS, Prompt, load

from ..images import jpeg, make_prompt, picture, write_broken, write_readable

START = [sys.executable, "-c", "import sys; from pixprompt.cli import main; sys.exit(main())", "apply"]


@pytest.fixture
def prompt_file(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.png"
    make_prompt().save(path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.array(image)


def expected(prompt: Prompt, source: Path) -> np.ndarray:
    return prompt.overlay(prompt.canvas.make(decode(source)))


# What it writes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("workers", ["1", "4"])
def test_png_holds_exactly_the_prompted_canvas_of_every_kind_of_image(
    tmp_path: Path, blend: str, workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = make_prompt(blend=blend)
    prompt.save(tmp_path / "p.png")
    sources = write_readable(tmp_path / "in")
    out = tmp_path / "out"
    arguments = ["apply", str(tmp_path / "p.png"), str(tmp_path / "in"), "--out", str(out), "--workers", workers]
    assert main([*arguments, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["written"], values["failed"], values["out"]) == (len(sources), [], str(out))
    assert values["images_per_second"] > 0
    assert files(out) == sorted(f"{source.stem}.png" for source in sources)
    for source in sources:
        assert np.array_equal(read(out / f"{source.stem}.png"), expected(prompt, source)), source.name


def test_folders_are_walked_and_relative_paths_are_kept(tmp_path: Path, prompt_file: Path) -> None:
    for name in ("in/b/two.PNG", "in/a/deep/one.v1.jpg", "in/top.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture().save(tmp_path / name)
    for name in ("in/notes.txt", "in/.hidden.png", "in/.git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no image")
    single = tmp_path / "single.odd"
    single.write_bytes(jpeg(picture()))
    out = tmp_path / "out"
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), str(single), "--out", str(out)]) == 0
    assert files(out) == ["a/deep/one.v1.png", "b/two.png", "single.odd.png", "top.png"]


def test_what_lies_in_the_output_folder_is_not_taken_for_an_input(tmp_path: Path, prompt_file: Path) -> None:
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in/a.jpg")
    for _ in range(2):
        assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "in/out")]) == 0
    assert files(tmp_path / "in") == ["a.jpg", "out/a.png"]


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_linked_folders_are_followed_and_circles_end(tmp_path: Path, prompt_file: Path) -> None:
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    picture().save(tmp_path / "elsewhere/x.png")
    (tmp_path / "in/a/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/a/circle").symlink_to(tmp_path / "in")
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert files(tmp_path / "out") == ["a/link/x.png"]


def test_a_file_that_is_named_twice_is_written_once(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.jpg")
    inputs = [str(tmp_path / "a.jpg"), os.path.relpath(tmp_path / "a.jpg")]
    assert main(["apply", str(prompt_file), *inputs, "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 1


def test_jpeg_is_close_full_colour_and_of_the_quality_asked_for(tmp_path: Path, prompt_file: Path) -> None:
    source = tmp_path / "a.png"
    picture().save(source)
    truth = expected(load(prompt_file), source).astype(int)
    errors = {}
    for quality in (None, 95, 20):
        out = tmp_path / f"q{quality}"
        options = [] if quality is None else ["--quality", str(quality)]
        assert main(["apply", str(prompt_file), str(source), "--out", str(out), "--format", "jpeg", *options]) == 0
        with Image.open(out / "a.jpg") as image:
            assert image.format == "JPEG"
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]  # 4:4:4
        errors[quality] = np.abs(read(out / "a.jpg") - truth).mean()
    assert errors[None] == errors[95]
    assert 0 < errors[95] < errors[20] / 2


def test_results_come_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    sizes = [(900, 900), (5, 5), (600, 600), (5, 5), (5, 5)]
    jobs = []
    for number, size in enumerate(sizes):
        picture(*size).save(tmp_path / f"{number}.png")
        jobs.append(Job(tmp_path / f"{number}.png", tmp_path / f"out{number}.png"))
    done = [job for job, _ in put_prompt(make_prompt(), jobs, lambda pixels: pixels.tobytes(), workers=4)]
    assert done == jobs


def test_a_real_photo(tmp_path: Path, assets: Path) -> None:
    prompt = make_prompt((224, 224), padding=30, crop_pct=0.875)
    prompt.save(tmp_path / "p.png")
    photos = sorted((assets / "data/imagenet-samples").iterdir())[:3]
    assert main(["apply", str(tmp_path / "p.png"), *map(str, photos), "--out", str(tmp_path / "out")]) == 0
    for photo in photos:
        made = read(tmp_path / "out" / f"{photo.stem}.png")
        assert np.array_equal(made, expected(prompt, photo))
        with Image.open(photo) as opened, Image.open(tmp_path / "p.png") as overlay:
            # The same by hand, with nothing but Pillow: 256 -> 224 is the centre crop of crop_pct 0.875.
            by_hand = opened.convert("RGB").crop((16, 16, 240, 240))
            by_hand.paste(overlay.convert("RGB"), (0, 0), overlay.getchannel("A"))
            assert np.array_equal(made, np.asarray(by_hand))


# What it refuses before it starts ------------------------------------------------------------------------------------


def refused(arguments: list[str], out: Path, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    before = files(out.parent)
    assert main(["apply", *arguments, "--out", str(out), "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert files(out.parent) == before
    return captured.err


def test_two_inputs_with_one_target_are_refused_with_both_names(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x/a.jpg", "x/a.png", "y/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture().save(tmp_path / name)
    for inputs in (["x"], ["x/a.jpg", "y/a.jpg"], ["x/a.jpg", "y"]):
        paths = [str(tmp_path / name) for name in inputs]
        message = refused([str(prompt_file), *paths], tmp_path / "out", 2, capsys)
        first, second = re.findall(r"(\S+) and (\S+) would both be written to", message)[0]
        assert first != second
        assert {Path(first).stem, Path(second).stem} == {"a"}


def test_an_input_is_never_overwritten(tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.png"
    picture().save(source)
    content = source.read_bytes()
    message = refused([str(prompt_file), str(source)], tmp_path, 2, capsys)
    assert f"{source} is an input and would be overwritten" in message
    assert source.read_bytes() == content
    # A JPEG beside it is no danger.
    assert main(["apply", str(prompt_file), str(source), "--out", str(tmp_path), "--format", "jpeg"]) == 0
    assert source.read_bytes() == content


def test_the_prompt_itself_is_never_overwritten(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "prompt.jpg")
    assert "prompt.png is an input" in refused([str(prompt_file), str(tmp_path / "prompt.jpg")], tmp_path, 2, capsys)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_an_input_behind_a_link_is_not_overwritten_either(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in/a.png")
    (tmp_path / "out").symlink_to(tmp_path / "in")
    assert "would be overwritten" in refused(
        [str(prompt_file), str(tmp_path / "in/a.png")], tmp_path / "out", 2, capsys
    )


def test_no_image_at_all_is_an_error(tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("x")
    message = refused([str(prompt_file), str(tmp_path / "empty")], tmp_path / "out", 1, capsys)
    assert f"no image in {tmp_path / 'empty'}" in message
    assert all(suffix in message for suffix in IMAGE_SUFFIXES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quality", "90"], "--quality goes with --format jpeg"),
        (["--quality", "0", "--format", "jpeg"], "1<=x<=100"),
        (["--workers", "0"], "x>=1"),
        (["--format", "gif"], "'png', 'jpeg'"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    tmp_path: Path, prompt_file: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused([str(prompt_file), str(prompt_file), *options], tmp_path / "out", 2, capsys)


def test_a_missing_input_and_an_output_that_is_a_file_are_wrong_usage(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not exist" in refused([str(prompt_file), str(tmp_path / "none.jpg")], tmp_path / "out", 2, capsys)
    assert main(["apply", str(prompt_file), str(prompt_file), "--out", str(prompt_file)]) == 2


def test_a_picture_is_no_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "a.png")
    message = refused([str(tmp_path / "a.png"), str(tmp_path / "a.png")], tmp_path / "out", 1, capsys)
    assert "a prompt is an RGBA PNG" in message


# What goes wrong on the way ------------------------------------------------------------------------------------------


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


def test_an_output_folder_that_cannot_be_made_is_an_error_before_any_work(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    message = refused([str(prompt_file), str(tmp_path / "a.jpg")], tmp_path / "file" / "out", 1, capsys)
    assert "cannot create the folder" in message


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
    done = subprocess.run([*command, "--out", str(tmp_path / "out"), "--workers", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("cannot write") == 1
    assert done.stderr.startswith(f"Error: cannot write {tmp_path / 'out' / '03.png'}: ")
    assert files(tmp_path / "out") == ["00.png", "01.png", "02.png"]


def test_after_a_failed_write_no_further_image_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def full(path: Path, content: bytes, *, durable: bool) -> None:
        begun.append(path)
        raise PixpromptError("cannot write: No space left on device")

    monkeypatch.setattr("pixprompt.cli.apply.write_bytes", full)
    picture().save(tmp_path / "a.png")
    jobs = [Job(tmp_path / "a.png", tmp_path / f"{number}.png") for number in range(10_000)]
    with pytest.raises(PixpromptError):
        list(put_prompt(make_prompt(), jobs, lambda pixels: b"", workers=2))
    assert len(begun) <= 16


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_quickly_with_130_and_leaves_whole_files_only(tmp_path: Path) -> None:
    prompt = make_prompt((224, 224))
    prompt.save(tmp_path / "p.png")
    (tmp_path / "in").mkdir()
    picture(400, 400).save(tmp_path / "in/0.jpg")
    for number in range(1, 3000):
        os.link(tmp_path / "in/0.jpg", tmp_path / f"in/{number}.jpg")
    out = tmp_path / "out"
    command = [*START, str(tmp_path / "p.png"), str(tmp_path / "in"), "--out", str(out), "--workers", "2", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not (out.exists() and len(os.listdir(out)) > 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - start < 3
    assert (process.returncode, stdout) == (130, "")
    said = re.search(r"^interrupted: (\d+) of 3000 images written to ", stderr, re.MULTILINE)
    assert said, stderr
    assert "Traceback" not in stderr
    names = files(out)
    assert 0 < int(said[1]) <= len(names) < 3000
    assert all(name.endswith(".png") and not name.startswith(".") for name in names)
    truth = expected(prompt, tmp_path / "in/0.jpg")
    assert all(np.array_equal(read(out / name), truth) for name in (names[0], names[-1]))


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


def test_help_says_that_jpeg_changes_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "--help"]) == 0
    assert "jpeg changes pixels" in " ".join(capsys.readouterr().out.split())
