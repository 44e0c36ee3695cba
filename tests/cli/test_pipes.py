"""`apply` and `predict` in a pipe: an image or JSON lines on stdin, the results on stdout, line by line."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas
from pixprompt.cli import main
from pixprompt.prompt import Committee, load_committee
from pixprompt.views import View

from ..images import expected, jpeg, make_prompt, picture
from .toy import CLASSES, Toy

START = "import sys; from pixprompt.cli import main; sys.exit(main())"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]):
    """Runs a command with something on stdin; returns the exit code, stdout and stderr."""

    def run(content: bytes, *arguments: str) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main([*arguments])
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


def lines_of(*values: object) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def pixels(content: bytes | str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content) if isinstance(content, str) else content)))


def test_an_image_goes_through(prompt_file: Path, tmp_path: Path, pipe) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(picture()))
    code, out, err = pipe((tmp_path / "a.jpg").read_bytes(), "apply", str(prompt_file), "-", "--out", "-")
    assert (code, err) == (0, "")
    assert (pixels(out) == expected(load_committee(prompt_file).single, tmp_path / "a.jpg")).all()


def test_json_lines_come_back_in_order_with_their_fields_and_faults(prompt_file: Path, tmp_path: Path, pipe) -> None:
    picture(seed=1).save(tmp_path / "a.png")
    inline = base64.b64encode(jpeg(picture(seed=2))).decode()
    lines = lines_of(
        {"path": str(tmp_path / "a.png"), "id": 7},
        {"image": inline, "note": ["ü"]},
        {"path": str(tmp_path / "none.png")},
        {"image": "***"},
        {"image": base64.b64encode(b"no image").decode(), "id": 8},
        {"path": "a", "image": "b"},
        {"path": 5},
        [1],
    )
    code, out, _ = pipe(b"\n" + lines + b"{broken\n\n", "apply", str(prompt_file), "-", "--out", "-", "--workers", "2")
    actual = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [("image" in line, "error" in line) for line in actual] == 2 * [(True, False)] + 7 * [(False, True)]
    assert (actual[0]["id"], actual[0]["path"], actual[1]["note"], actual[4]["id"]) == (
        7,
        str(tmp_path / "a.png"),
        ["ü"],
        8,
    )
    prompt = load_committee(prompt_file).single
    assert (pixels(actual[0]["image"]) == expected(prompt, tmp_path / "a.png")).all()
    (tmp_path / "b.jpg").write_bytes(jpeg(picture(seed=2)))
    assert (pixels(actual[1]["image"]) == expected(prompt, tmp_path / "b.jpg")).all()


def test_a_committee_gives_several_images_to_a_line(tmp_path: Path, pipe) -> None:
    Committee(tuple(view.prompt(Canvas((9, 9))) for view in (View(), View(flip=True)))).save(tmp_path / "c.png")
    picture().save(tmp_path / "a.png")
    command = ("apply", str(tmp_path / "c.png"), "-", "--out", "-")
    code, out, _ = pipe(lines_of({"path": str(tmp_path / "a.png")}), *command)
    assert code == 0
    assert len(json.loads(out)["images"]) == 2
    code, out, err = pipe((tmp_path / "a.png").read_bytes(), *command)
    assert (code, out) == (1, b"")
    assert "JSON lines" in err


@pytest.mark.parametrize(
    ("content", "arguments", "code", "message"),
    [
        (b"", ["-", "--out", "-"], 1, "stdin is empty"),
        (b"no image", ["-", "--out", "-"], 1, "not a readable image"),
        (b"", ["-", "--out", "folder"], 2, "go together"),
        (b"", ["-", ".", "--out", "-"], 2, "no other input"),
        (b"", ["-", "--out", "-", "--json"], 2, "leave out --json"),
    ],
)
def test_what_makes_no_sense_is_said(
    content: bytes, arguments: list[str], code: int, message: str, prompt_file: Path, pipe
) -> None:
    actual, out, err = pipe(content, "apply", str(prompt_file), *arguments)
    assert (actual, out) == (code, b"")
    assert message in err


def test_predict_answers_lines_as_it_answers_files(toy: Toy, pipe) -> None:
    output = {
        "kind": "given",
        "classes": list(CLASSES),
        "num_outputs": 6,
        "answer": "logits",
        "mapping": [[0], [1], [4]],
    }
    replace(make_prompt((16, 16), padding=2), output=output).save(Path("prompt.png"))
    images = toy.images("test")[:3]
    arguments = ("--model", toy.model(), "--top", "2")
    _, out, _ = pipe(b"", "predict", "prompt.png", *map(str, images), *arguments)
    alone = [json.loads(line) for line in out.splitlines()]
    inline = base64.b64encode(images[1].read_bytes()).decode()
    lines = lines_of(
        {"path": str(images[0])}, {"image": inline, "id": 1}, {"path": "nowhere"}, {"path": str(images[2])}
    )
    code, out, _ = pipe(lines, "predict", "prompt.png", "-", *arguments)
    piped = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [line.get("label") for line in piped] == [alone[0]["label"], alone[1]["label"], None, alone[2]["label"]]
    assert piped[1].pop("id") == 1
    assert piped[0].keys() == alone[0].keys()
    assert "nowhere" in piped[2]["error"]
    code, out, _ = pipe(images[0].read_bytes(), "predict", "prompt.png", "-", *arguments)
    assert code == 0
    assert json.loads(out)["label"] == alone[0]["label"]


def start(prompt_file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", START, "apply", str(prompt_file), "-", "--out", "-"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_line_is_answered_before_the_next_one_is_sent(prompt_file: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    with start(prompt_file) as program:
        for number in range(3):  # it would hang here if lines were held back
            program.stdin.write(lines_of({"path": str(tmp_path / "a.png"), "id": number}))
            program.stdin.flush()
            assert json.loads(program.stdout.readline())["id"] == number
        program.stdin.close()
        assert program.wait() == 0


def test_a_reader_that_leaves_ends_it_quietly(prompt_file: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    with start(prompt_file) as program:
        program.stdin.write(lines_of({"path": str(tmp_path / "a.png")}))
        program.stdin.flush()
        program.stdout.readline()
        program.stdout.close()
        program.stdin.write(lines_of({"path": str(tmp_path / "a.png")}))
        program.stdin.flush()  # and stays open: the thread that reads is not at its end
        assert program.stderr.read() == b""
        assert program.wait() == 1
