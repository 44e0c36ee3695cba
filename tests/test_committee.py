"""Committees: several prompts in one PNG, each of which is a prompt of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from pixprompt.canvas import Canvas, Tone
from pixprompt.core import PromptError
from pixprompt.prompt import Committee, Prompt, load, load_committee
from pixprompt.views import Pattern, View

from .images import make_prompt, picture
from .test_prompt_file import rewritten
from .views.strategies import views

BASE = Canvas((32, 32))
OUTPUT = {"kind": "head", "classes": ["zero", "eins"]}


def committee_of(*pages: Prompt) -> Committee:
    return Committee(pages, output=OUTPUT, model="mobilenet-v2", seed=7, metrics={"test": 0.5}, version="0.5.0")


def mixed() -> Committee:
    return committee_of(
        View().prompt(BASE),
        View(size=0.5, x=0.0, frame=Pattern((1, 2, 3)), tone=Tone(invert=True)).prompt(BASE),
        make_prompt(blend="add"),
        make_prompt(blend="over", fit="shrink", frame=6),
    )


@settings(max_examples=40, deadline=None)
@given(members=st.lists(views, min_size=2, max_size=5))
def test_a_committee_is_one_file_to_the_byte(members: list[View], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("committee")
    committee = committee_of(*(view.prompt(BASE) for view in members))
    committee.save(folder / "a.png")
    again = load_committee(folder / "a.png")
    again.save(folder / "b.png")
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    assert again.metadata() == committee.metadata()
    for pixels, expected in zip(again.apply(picture()), committee.apply(picture()), strict=True):
        assert np.array_equal(np.asarray(pixels), np.asarray(expected))


def test_pages_are_prompts_and_lie_below_one_another(tmp_path: Path) -> None:
    committee = mixed()
    committee.save(tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (32, 4 * 32))
        values = json.loads(image.text["pixprompt"])  # type: ignore[attr-defined]
    assert (values["schema"], values["min_version"], len(values["pages"])) == (2, "0.5", 4)
    again = load_committee(tmp_path / "c.png")
    assert (again.output, again.seed, again.metrics, again.model) == (OUTPUT, 7, {"test": 0.5}, "mobilenet-v2")
    assert again.num_params == committee.num_params
    for page, pixels in zip(again.pages, again.apply(np.asarray(picture())), strict=True):
        page.save(tmp_path / "page.png")
        alone = load(tmp_path / "page.png")
        assert (alone.output, alone.model, alone.seed) == ({}, "mobilenet-v2", 7)
        assert np.array_equal(alone.apply(np.asarray(picture())), pixels)


def test_a_committee_of_one_is_the_file_of_its_prompt(tmp_path: Path) -> None:
    prompt = make_prompt()
    prompt.save(tmp_path / "p.png")
    Committee.of(prompt).save(tmp_path / "c.png")
    assert (tmp_path / "p.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_load_says_how_to_read_several(tmp_path: Path) -> None:
    mixed().save(tmp_path / "c.png")
    with pytest.raises(PromptError, match=r"holds 4 prompts.*load_committee"):
        load(tmp_path / "c.png")
    with pytest.raises(PromptError, match="no single prompt"):
        _ = mixed().single


def test_a_committee_needs_pages_of_one_size() -> None:
    with pytest.raises(PromptError, match="at least one"):
        committee_of()
    with pytest.raises(PromptError, match="one size"):
        committee_of(View().prompt(BASE), View().prompt(Canvas((16, 32))))


def test_a_changed_page_is_refused(tmp_path: Path) -> None:
    committee = mixed()
    rgba = committee.rgba.copy()
    rgba[40, 3, 0] ^= 1
    path = tmp_path / "c.png"
    edited = replace(make_prompt(size=(128, 32)), rgba=rgba)
    rewritten(edited, path, lambda values: (values.clear(), values.update(committee.metadata())), sign=False)
    with pytest.raises(PromptError, match="pixels do not match"):
        load_committee(path)


@pytest.mark.parametrize("pages", [[], 3, None, [1, 2, 3, 4], 3 * [{}], 4 * [{}]])
def test_signed_nonsense_about_pages_is_refused(tmp_path: Path, pages: object) -> None:
    committee, path = mixed(), tmp_path / "c.png"
    stacked = replace(make_prompt(size=(128, 32)), rgba=committee.rgba)
    rewritten(
        stacked,
        path,
        lambda values: (values.clear(), values.update(committee.metadata(), pages=pages)),
        sign=True,
    )
    with pytest.raises(PromptError):
        load_committee(path)


def test_a_file_of_a_newer_schema_says_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    rewritten(make_prompt(), path, lambda values: values.update(schema=3, min_version="0.9"), sign=True)
    with pytest.raises(PromptError, match=r"schema 3.*reads schemas 1 to 2\. It needs pixprompt 0\.9 or newer"):
        load_committee(path)
