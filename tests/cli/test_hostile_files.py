"""Files that mean harm: other formats, bombs, pipes, names with control characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pixprompt.bulk.prompter import PixelRoom
from pixprompt.canvas import MAX_CANVAS_PIXELS, Canvas, decode
from pixprompt.cli import main
from pixprompt.cli.terminal import json_line, printable
from pixprompt.core import AnswerKind, ConfigError, ImageError, ModelSpec, PixpromptError, PromptError
from pixprompt.data import load_images
from pixprompt.files.tensors import load_state
from pixprompt.models.weights import read_weights
from pixprompt.outputs import make_output
from pixprompt.outputs.sources import read_mapping
from pixprompt.outputs.texts.templates import texts_for
from pixprompt.prompt import load
from pixprompt.search.vocabulary import read_vocabulary

from ..images import files, make_prompt, picture

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n%%EOF\n"


def test_postscript_by_the_name_of_a_png_starts_nothing(
    tmp_path: Path, prompt_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pillow hands PostScript to Ghostscript, whose failure ended the whole command."""
    tools, started = tmp_path / "bin", tmp_path / "started"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch {started}\nexit 3\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(POSTSCRIPT)
    picture().save(tmp_path / "in/b.png")
    assert main(["apply", str(prompt_file), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 1
    assert files(tmp_path / "out") == ["b.png"]
    assert "a.png: not a readable image (of no known format)" in capsys.readouterr().err
    assert not started.exists()
    load_anyway = f"from PIL import Image; Image.open({str(tmp_path / 'in/a.png')!r}).load()"
    subprocess.run([sys.executable, "-c", load_anyway], capture_output=True, check=False)
    assert started.exists()  # negative control: without a list of formats it is started


def test_any_failure_of_a_decoder_is_that_file_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: Image.Image) -> None:
        raise ZeroDivisionError("a decoder of its own kind")

    picture().save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    with pytest.raises(ImageError, match=r"a\.png: not a readable image \(a decoder of its own kind\)"):
        decode(tmp_path / "a.png")


def test_a_canvas_may_not_ask_for_the_whole_memory(tmp_path: Path) -> None:
    for canvas in ({"size": (224, 224), "crop_pct": 1e-6}, {"size": (5000, 5000)}):
        with pytest.raises(ConfigError, match=rf"asks for more than {MAX_CANVAS_PIXELS} pixels"):
            Canvas(**canvas)
    Canvas((4096, 4096))
    Canvas((224, 224), crop_pct=0.0625)


def test_a_signed_prompt_that_asks_for_too_much_is_refused_by_name(tmp_path: Path) -> None:
    """The digests are right: whoever writes a file can sign it."""
    prompt = make_prompt()
    path = tmp_path / "bomb.png"
    object.__setattr__(prompt.canvas, "crop_pct", 1e-9)  # as another program would write it
    prompt.save(path)
    with pytest.raises(
        PromptError, match=r"bomb\.png: the prompt file describes no usable canvas: .*asks for more than"
    ):
        load(path)


@pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")
def test_pipes_named_like_images_are_passed_over_by_name(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    picture().save(folder / "b.png")
    assert main(["apply", str(prompt_file), str(folder), "--out", str(tmp_path / "out")]) == 1
    assert files(tmp_path / "out") == ["b.png"]
    assert "a.png: not a readable image (not a regular file but a pipe, socket or device)" in capsys.readouterr().err
    assert main(["inspect", str(folder / "a.png")]) == 1
    assert "not a regular file" in capsys.readouterr().err


def test_control_characters_never_reach_the_terminal(
    tmp_path: Path, prompt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[2J\x9b\u202e.png"
    (tmp_path / name).write_bytes(b"none")
    assert main(["apply", str(prompt_file), str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert "a?[2J??.png" in printed
    assert printable(printed) == printed
    line = json_line({"label": name, "emoji": "caf\u00e9 \U000e0001"})
    assert line.isprintable()
    assert json.loads(line) == {"label": name, "emoji": "caf\u00e9 \U000e0001"}


def test_large_images_are_decoded_within_a_common_limit() -> None:
    room, order = PixelRoom(10), []
    first_in, may_leave = threading.Event(), threading.Event()

    def first() -> None:
        with room.take(30):  # alone, an image over the limit is let in
            first_in.set()
            may_leave.wait()
            order.append("first")

    def second() -> None:
        with room.take(1):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    first_in.wait()
    threads[1].start()
    may_leave.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]
    with room.take(5), room.take(5):  # negative control: within the limit nobody waits
        pass


def test_a_picture_does_not_decide_what_is_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("timm:hf_hub:somebody/net", "timm:somebody/net", "open_clip:hf-hub:somebody/net"):
        replace(make_prompt(), model=name, output={"kind": "direct"}).save(tmp_path / "p.png")
        assert main(["predict", str(tmp_path / "p.png"), str(tmp_path / "p.png")]) == 2
        assert f"a file must not decide what is downloaded. If you trust it: --model {name}" in capsys.readouterr().err


def test_control_characters_of_answers_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "cat\x1b]0;owned\x07\x9b2J\u202e"
    (tmp_path / "speaking_model.py").write_text(f"def answer(image):\n    return {evil!r}\nanswer.takes = 'image'\n")
    monkeypatch.chdir(tmp_path)
    spec = ModelSpec("speaking", (32, 32), 3, AnswerKind.LABEL, (evil, "dog", "(other)"))
    output = make_output("names", classes=(evil, "dog"), spec=spec, seed=0).to_json()
    replace(make_prompt(), output=output).save(tmp_path / "prompt.png")
    picture().save(tmp_path / "a.png")
    code = main(["predict", "prompt.png", "a.png", "--model", "python:speaking_model:answer@32"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert json.loads(printed.out)["label"] == evil
    assert printable(printed.out) == printed.out
    assert printable(printed.err) == printed.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.csv", "a.json", "a.txt", "a.png"])
def test_no_reader_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    readers: dict[str, list[Callable[[], object]]] = {
        "a.safetensors": [lambda: read_weights(path), lambda: load_state(path)],
        "a.pth": [lambda: read_weights(path)],
        "a.csv": [lambda: load_images(f"csv:{path}")],
        "a.json": [lambda: read_mapping(path, ("a",), ModelSpec("m", (8, 8), 2))],
        "a.txt": [lambda: read_vocabulary(str(path)), lambda: texts_for("digits", str(path))],
        "a.png": [lambda: decode(path), lambda: load(path)],
    }
    for reader in readers[name]:
        with pytest.raises(PixpromptError):
            reader()
