"""`pixprompt apply` and `inspect` with a committee: one image and one page per view, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import Canvas, Tone
from pixprompt.cli import main
from pixprompt.prompt import Committee, load, load_committee
from pixprompt.views import Pattern, View

from ..images import picture, write_broken

BASE = Canvas((32, 32))
VIEWS = (View(), View(size=0.5, frame=Pattern((255, 255, 255))), View(rotation=90.0, tone=Tone(invert=True)))


@pytest.fixture
def committee(tmp_path: Path) -> Committee:
    whole_committee = Committee(
        tuple(view.prompt(BASE) for view in VIEWS), output={"kind": "x", "classes": ["a"]}, model="m"
    )
    whole_committee.save(tmp_path / "committee.png")
    return whole_committee


def test_apply_writes_one_image_per_view(tmp_path: Path, committee: Committee) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    picture().save(tmp_path / "in/a.png")
    picture(seed=1).save(tmp_path / "in/deep/b.bmp")
    out = tmp_path / "out"
    assert main(["apply", str(tmp_path / "committee.png"), str(tmp_path / "in"), "--out", str(out)]) == 0
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {f"view-{k}/{name}" for k in (1, 2, 3) for name in ("a.png", "deep/b.png")}
    for number, expected in enumerate(committee.apply(picture(seed=1)), 1):
        with Image.open(out / f"view-{number}/deep/b.png") as opened:
            assert np.array_equal(np.asarray(opened), np.asarray(expected))


def test_apply_counts_images_and_views(
    tmp_path: Path, committee: Committee, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in/a.png")
    write_broken(tmp_path / "in")
    arguments = ["apply", str(tmp_path / "committee.png"), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert (values["written"], values["views"]) == (1, 3)
    assert values["failed"]


def test_apply_refuses_to_write_over_an_input_through_any_view(
    tmp_path: Path, committee: Committee, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "view-2").mkdir()
    picture().save(tmp_path / "a.png")
    picture().save(tmp_path / "view-2/a.png")
    os.link(tmp_path / "view-2/a.png", tmp_path / "b.png")
    inputs = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main(["apply", str(tmp_path / "committee.png"), *inputs, "--out", str(tmp_path)]) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err


def test_inspect_shows_every_view_and_the_price(
    tmp_path: Path, committee: Committee, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tmp_path / "committee.png")]) == 0
    out = capsys.readouterr().out
    assert "3 prompts" in out
    assert "schema 2" in out
    assert "3 per prediction" in out
    assert [view.name for view in VIEWS] == ["plain", "size 0.50, white frame", "rotated 90°, inverted"]
    assert all(view.name in out for view in VIEWS)
    assert main(["inspect", str(tmp_path / "committee.png"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["pages"]) == 3
    cascade = {"threshold": 0.4, "per_prediction": 1.75, "output": {}}
    replace(committee, cascade=cascade).save(tmp_path / "staged.png")
    assert main(["inspect", str(tmp_path / "staged.png")]) == 0
    assert "1 to 3 per prediction, 1.75 expected" in capsys.readouterr().out
    assert load_committee(tmp_path / "staged.png").cascade == cascade


def test_inspect_exports_each_view_as_a_prompt_of_its_own(tmp_path: Path, committee: Committee) -> None:
    pages = tmp_path / "pages"
    assert main(["inspect", str(tmp_path / "committee.png"), "--pages", str(pages)]) == 0
    for number, page in enumerate(committee.pages, 1):
        assert load(pages / f"view-{number}.png").metadata() == page.metadata()


_WITHOUT_TORCH = """
import sys
from pixprompt.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision", "timm", "open_clip", "matplotlib", "requests", "sklearn", "scipy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
sys.exit(code)
"""


def test_apply_and_inspect_need_no_torch(tmp_path: Path, committee: Committee) -> None:
    picture().save(tmp_path / "a.png")
    file = str(tmp_path / "committee.png")
    for arguments in (["apply", file, str(tmp_path / "a.png"), "--out", str(tmp_path / "out")], ["inspect", file]):
        process = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH, *arguments], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
