"""Every data set that has a name, in a miniature of its official layout: the right counts, wrong ones, what is said."""

from __future__ import annotations

import logging
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixprompt.core import ConfigError, DataError
from pixprompt.data import DATASETS, load_data
from pixprompt.data.catalogue import BENCHMARKS, DataSet
from pixprompt.data.prepare import prepare, prepared_folder, read_prepared

from .miniatures import build, sizes

NAMES = sorted(DATASETS)
BROUGHT = [name for name in NAMES if not DATASETS[name].built_in]


class Quiet:
    """Counts what is done."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.done = 0

    def stage(self, name: str, total: int) -> None:
        self.stages.append(name)

    def advance(self, steps: int = 1) -> None:
        self.done += steps


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, no way out to the network, and torchvision's digests of files left out."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setenv("PIXPROMPT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for module in ("cifar", "svhn", "stl10", "flowers102"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda *_: True)
    return tmp_path / "data"


def miniature(name: str, folder: Path) -> DataSet:
    """A data set whose official counts are those of its miniature, which is built."""
    data = DATASETS[name]
    build(data, folder)
    result = data.read(folder / data.place)
    return replace(data, sizes=sizes(data), num_classes=len(result.classes), classes=result.classes)


@pytest.mark.parametrize("name", BROUGHT)
def test_the_right_counts_pass_and_a_missing_image_does_not(name: str, folder: Path) -> None:
    data = miniature(name, folder)
    summary = prepare(data, folder / data.place, progress=Quiet(), check_only=True)
    assert (summary.sizes, summary.num_classes) == (sizes(data), len(data.classes))
    assert not prepared_folder(name).exists()
    part = next(iter(data.sizes))
    more = replace(data, sizes={**data.sizes, part: data.sizes[part] + 1})
    with pytest.raises(DataError, match=f"{name}: .* is not the official set: {part} has {data.sizes[part]} images"):
        prepare(more, folder / data.place, progress=Quiet(), check_only=True)


@pytest.mark.parametrize("name", BROUGHT)
def test_the_miniature_is_told_from_the_official_set(name: str, folder: Path) -> None:
    data = DATASETS[name]
    build(data, folder)
    with pytest.raises(DataError, match="is not the official set") as error:
        prepare(data, folder / data.place, progress=Quiet(), check_only=True)
    for part, size in data.sizes.items():
        assert f"{part} has" in str(error.value), part
        assert f"{size:,}" in str(error.value), part


@pytest.mark.parametrize(
    "name", ["dtd", "vtab-dtd", "coop-eurosat", "camelyon17", "mnist", "hta-svhn", "stanford-dogs"]
)
def test_what_is_prepared_is_what_is_read(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = miniature(name, folder)
    read = data.read(folder / data.place)
    prepare(data, folder / data.place, progress=Quiet())
    prepared = read_prepared(data)
    assert prepared is not None
    assert prepared.classes == read.classes
    for part, images in read.parts.items():
        assert prepared.parts[part].names == images.names
        assert prepared.parts[part].labels.tolist() == images.labels.tolist()
        assert prepared.parts[part].open(1).tobytes() == images.open(1).tobytes()
    assert str(prepared_folder(name)) in prepared.source


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_complete(name: str) -> None:
    data = DATASETS[name]
    assert (data.name, data.line.strip() != "") == (name, True)
    assert data.num_classes >= 2
    assert data.sizes["train"] > 0
    assert data.source
    assert data.licence
    assert data.classes == () or len(data.classes) == len({*data.classes}) == data.num_classes
    assert {*data.papers} <= BENCHMARKS.keys()
    facts = {"licence", "size", "class names"}
    assert {*data.unchecked} <= facts
    if not data.built_in:
        for part in (name, "datasets prepare", data.source):
            assert part in str(data.missing())


@pytest.mark.parametrize("name", BROUGHT)
def test_a_set_that_is_not_there_says_what_to_bring(name: str) -> None:
    if DATASETS[name].task == "segmentation":
        with pytest.raises(ConfigError, match="pixprompt segment"):
            load_data(name)
        return
    with pytest.raises(DataError, match=f"{name}: looked for") as error:
        load_data(name)
    assert f"pixprompt datasets prepare {name} --from PATH" in str(error.value)
    assert DATASETS[name].layout.needs[0] in str(error.value)


@pytest.mark.parametrize(
    ("benchmark", "count"), [("vp", 12), ("wilds", 3), ("fgvc", 5), ("vtab", 19), ("hta", 10), ("coop", 9)]
)
def test_benchmarks_have_as_many_sets_as_their_papers_say(benchmark: str, count: int) -> None:
    assert sum(benchmark in DATASETS[name].papers for name in NAMES) == count


def test_a_loaded_miniature_is_said_to_be_no_official_set(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(DATASETS["dtd"], folder)
    with caplog.at_level(logging.WARNING):
        data = load_data("dtd")
    assert "not the official set: 2 classes instead of 47" in caplog.text
    assert data.source == str(folder)


def test_a_wrong_order_of_classes_is_named(folder: Path) -> None:
    data = miniature("coop-dtd", folder)
    other = replace(data, classes=data.classes[::-1])
    with pytest.raises(DataError, match="class 0 is 'alpha' instead of 'beta'"):
        prepare(other, folder / data.place, progress=Quiet(), check_only=True)


def test_a_package_that_is_missing_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = miniature("stanford-dogs", folder)
    monkeypatch.setattr("pixprompt.data.catalogue.data_set.find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"needs the package scipy.*pip install 'pixprompt\[datasets\]'"):
        data.read(folder / data.place)


def test_dead_links_are_not_tried(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no link that works.*link is dead: bring a copy"):
        prepare(DATASETS["stanford-cars"], progress=Quiet(), download=True)


def test_a_failed_download_leaves_nothing_that_looks_whole(folder: Path) -> None:
    with pytest.raises(DataError, match="torchvision cannot download it"):
        prepare(DATASETS["dtd"], progress=Quiet(), download=True)
    assert not prepared_folder("dtd").exists()
    with pytest.raises(DataError, match="looked for"):
        load_data("dtd")
