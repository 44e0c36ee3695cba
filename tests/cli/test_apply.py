"""`pixprompt apply`: exact pixels, and nothing overwritten."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.bulk.jobs import Job
from pixprompt.bulk.prompter import Prompter
from pixprompt.cli import main
from pixprompt.files.images import IMAGE_SUFFIXES
from pixprompt.prompt import BLENDS, load

from ..images import expected, files, jpeg, make_prompt, picture, read_rgb, write_readable

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
        assert np.array_equal(read_rgb(out / f"{source.stem}.png"), expected(prompt, source)), source.name


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
        errors[quality] = np.abs(read_rgb(out / "a.jpg") - truth).mean()
    assert errors[None] == errors[95]
    assert 0 < errors[95] < errors[20] / 2


def test_results_come_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    sizes = [(900, 900), (5, 5), (600, 600), (5, 5), (5, 5)]
    jobs = []
    for number, size in enumerate(sizes):
        picture(*size).save(tmp_path / f"{number}.png")
        jobs.append(Job(tmp_path / f"{number}.png", (tmp_path / f"out{number}.png",)))
    done = [job for job, _ in Prompter(make_prompt(), lambda pixels: pixels.tobytes()).work_all(jobs, workers=4)]
    assert done == jobs


def test_a_real_photo(tmp_path: Path, assets: Path) -> None:
    prompt = make_prompt((224, 224), padding=30, crop_pct=0.875)
    prompt.save(tmp_path / "p.png")
    photos = sorted((assets / "data/imagenet-samples").iterdir())[:3]
    assert main(["apply", str(tmp_path / "p.png"), *map(str, photos), "--out", str(tmp_path / "out")]) == 0
    for photo in photos:
        pixels = read_rgb(tmp_path / "out" / f"{photo.stem}.png")
        assert np.array_equal(pixels, expected(prompt, photo))
        with Image.open(photo) as opened, Image.open(tmp_path / "p.png") as overlay:
            # The same by hand, with nothing but Pillow: 256 -> 224 is the centre crop of crop_pct 0.875.
            by_hand = opened.convert("RGB").crop((16, 16, 240, 240))
            by_hand.paste(overlay.convert("RGB"), (0, 0), overlay.getchannel("A"))
            assert np.array_equal(pixels, np.asarray(by_hand))


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


def test_an_output_folder_that_cannot_be_made_is_an_error_before_any_work(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    message = refused([str(prompt_file), str(tmp_path / "a.jpg")], tmp_path / "file" / "out", 1, capsys)
    assert "cannot create the folder" in message


def test_help_says_that_jpeg_changes_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "--help"]) == 0
    assert "jpeg changes pixels" in " ".join(capsys.readouterr().out.split())
