"""Pictures of real runs: what is written, what is left alone, and which runs go together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.adapters.whitebox import WhiteBox
from pixprompt.core import ConfigError, PromptError
from pixprompt.data import load_data
from pixprompt.engine import TrainConfig, train
from pixprompt.report.figures import draw as pictures
from pixprompt.report.figures.draw import BACKBONE, PictureOptions, draw_pictures, pick
from pixprompt.report.figures.runs import AdapterRuns, open_adapter_runs

from ..cli.toy import CLASSES
from ..plots.blank import blank_pictures
from .pages import edit_settings
from .pictures_toy import Paired, contents, tiny_model, write_task

OPTIONS = PictureOptions(model=tiny_model(), device="cpu", images=2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four finished runs."""
    folder = tmp_path_factory.mktemp("pictures")
    name = write_task(folder)
    config = TrainConfig(data=name, method="linear", epochs=1, precision="fp32", workers=0)
    prompted = config.with_values(method="vpt-deep", tokens=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXPROMPT_CACHE", str(folder / "cache"))
        blank_pictures(patch)
        expected = {"linear": config, "deep": prompted, "deep-1": prompted.with_values(seed=1)}
        expected["map"] = config.with_values(method="sa2vp-deep", bottleneck=4, rank=2)
        for title, values in expected.items():
            train(values, out=folder / title, model=tiny_model(), data=load_data(name, seed=values.seed))
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the slow part of the plane out, where a test is about something else."""
    monkeypatch.setattr(pictures, "tsne", lambda values, seed: np.zeros((len(values), 2)))


def test_a_run_with_a_map_of_prompts_is_compared_with_the_image(runs: Path, tmp_path: Path, undrawn: None) -> None:
    figures = draw_pictures([runs / "map", runs / "linear"], out=tmp_path / "out", options=OPTIONS)
    assert "similarity.png" in figures.files
    assert [result.layer for result in figures.alignment["sa2vp-deep"]] == list(
        range(len(figures.alignment["sa2vp-deep"]))
    )
    # Chance is 0.5; both pathways begin with the same position embedding.
    assert figures.alignment["sa2vp-deep"][0].percentile > 0.7
    assert list(figures.alignment) == ["sa2vp-deep"]


def test_pictures_of_runs_are_written_and_the_runs_stay(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    before = {title: contents(runs / title) for title in ("linear", "deep", "deep-1")}
    figures = draw_pictures([runs / title for title in before], out=tmp_path / "out", options=OPTIONS)
    assert {title: contents(runs / title) for title in before} == before
    assert figures.files == ("gradcam.png", "tsne.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(figures.files)
    for name in figures.files:
        with Image.open(tmp_path / "out" / name) as image:
            assert min(image.size) > 500
    titles = ("linear", "vpt-deep, seed 0", "vpt-deep, seed 1")
    assert figures.runs == titles
    assert tuple(figures.silhouettes) == (BACKBONE, *titles)
    assert figures.silhouettes["linear"] == pytest.approx(figures.silhouettes[BACKBONE])
    assert figures.silhouettes["vpt-deep, seed 0"] != pytest.approx(figures.silhouettes[BACKBONE], abs=1e-4)
    assert figures.points == 18
    assert len(figures.images) == 2
    assert figures.skipped == {"similarity.png": "no run has a map of prompts."}
    json.dumps(figures.to_json())


def paired(runs: Path, **adapters: WhiteBox) -> AdapterRuns:
    adapter_runs = open_adapter_runs([runs / "linear"], model=tiny_model(), device="cpu")
    return replace(
        adapter_runs, adapters={**adapter_runs.adapters, **{name: each.eval() for name, each in adapters.items()}}
    )


@pytest.mark.usefixtures("undrawn")
def test_maps_of_prompts_are_compared_and_measured(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = paired(runs, straight=Paired(tiny_model()), moved=Paired(tiny_model(), shift=5))
    monkeypatch.setattr(pictures, "open_adapter_runs", lambda *_, **__: both)
    figures = draw_pictures([runs / "linear"], out=tmp_path / "out", options=OPTIONS)
    assert set(figures.files) == {"tsne.png", "gradcam.png", "similarity.png"}
    assert figures.skipped == {}
    alignment = figures.to_json()["alignment"]
    assert list(alignment) == ["straight", "moved"]
    assert [line["layer"] for line in alignment["straight"]] == [0, 2]
    assert alignment["straight"][0]["percentile"] == 1.0
    assert alignment["moved"][0]["margin"] < alignment["straight"][0]["margin"]
    with Image.open(tmp_path / "out/similarity.png") as narrow, Image.open(tmp_path / "out/gradcam.png") as wide:
        assert narrow.size[0] * 5 == wide.size[0] * 3  # the frozen model and the probe have no column there
    with pytest.raises(ConfigError, match="layer 1; they do at 0, 2"):
        draw_pictures([runs / "linear"], out=tmp_path / "none", options=replace(OPTIONS, layer=1))
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_gives_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    calls = []
    for number, seed in enumerate((0, 0, 1)):
        draw_pictures([runs / "deep"], out=tmp_path / str(number), options=replace(OPTIONS, images=1, seed=seed))
        calls.append((tmp_path / str(number) / "gradcam.png").read_bytes())
    assert calls[0] == calls[1] != calls[2]


def changed(runs: Path, out: Path, **values: Any) -> Path:
    run = Path(shutil.copytree(runs / "deep", out))
    edit_settings(run, **values)
    return run


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "pixel", "tokens": None}, "learns nothing inside the model"),
        ({"data": "digits"}, "different data sets: deep has"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(
    runs: Path, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    other = changed(runs, tmp_path / "other", **values)
    with pytest.raises(ConfigError, match=message):
        draw_pictures([runs / "deep", other], out=tmp_path / "out", options=OPTIONS)
    assert not (tmp_path / "out").exists()


def test_runs_of_different_models_are_refused(runs: Path, tmp_path: Path) -> None:
    other = changed(runs, tmp_path / "other", model="timm:another")
    with pytest.raises(ConfigError, match="different models: deep has tiny-vit, other has timm:another"):
        open_adapter_runs([runs / "deep", other])
    model = tiny_model()
    with torch.no_grad():
        next(model.net.parameters()).add_(1)
    with pytest.raises(PromptError, match="learned inside"):
        open_adapter_runs([runs / "deep"], model=model, device="cpu")


def test_runs_with_other_test_images_are_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def split(name: str, *, seed: int, **subset: Any) -> Any:
        data = load_data(name, seed=seed, **subset)
        return replace(data, test=data.test.subset(range(9 * seed, 9 * seed + 9)))

    monkeypatch.setattr("pixprompt.report.figures.runs.load_data", split)
    assert len(open_adapter_runs([runs / "deep", runs / "linear"], model=tiny_model(), device="cpu").test) == 9
    with pytest.raises(ConfigError, match="deep-1 was tested on other images than deep: the seed 1"):
        open_adapter_runs([runs / "deep", runs / "deep-1"], model=tiny_model(), device="cpu")


def test_a_folder_with_files_is_not_written_to(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is not empty"):
        draw_pictures([runs / "linear"], out=tmp_path, options=OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ConfigError, match="leave it out"):
        draw_pictures([runs / "linear"], out=tmp_path / "o", options=replace(OPTIONS, layer=0))


def test_titles_tell_runs_apart(runs: Path, tmp_path: Path) -> None:
    twin = changed(runs, tmp_path / "twin", lr=0.5)
    adapter_runs = open_adapter_runs([runs / "deep", twin, runs / "linear"], model=tiny_model(), device="cpu")
    assert list(adapter_runs.adapters) == ["deep", "twin", "linear"]
    assert adapter_runs.classes == CLASSES


def test_rows_are_spread_over_the_classes() -> None:
    labels = np.repeat([0, 1, 2], [90, 5, 1])
    for seed in range(5):
        chosen = pick(labels, 3, generator=torch.Generator().manual_seed(seed))
        assert labels[chosen].tolist() == [0, 1, 2]
        more = pick(labels, 7, generator=torch.Generator().manual_seed(seed))
        assert labels[more].tolist() == [0, 0, 0, 1, 1, 1, 2]
        assert len(set(more)) == 7
    draws = {tuple(pick(labels, 3, generator=torch.Generator().manual_seed(seed))) for seed in range(5)}
    assert len(draws) > 1
    assert sorted(pick(labels, 200, generator=torch.Generator().manual_seed(0))) == list(range(96))
