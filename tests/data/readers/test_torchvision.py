from __future__ import annotations

import csv
import json
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from pixprompt.core import DataError
from pixprompt.data import load_data, load_images
from pixprompt.data.catalogue import DATASETS, data_folder
from pixprompt.data.prepare import prepare
from pixprompt.data.readers.official.layout import words
from pixprompt.engine.progress import Silent


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no way out to the network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("PIXPROMPT_DATA", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (value, value, value)).save(path)


def test_eurosat_from_disk(root: Path) -> None:
    for value, name in enumerate(("SeaLake", "AnnualCrop", "Forest")):
        for index in range(5):
            save(root / "eurosat" / "2750" / name / f"{name}_{index}.png", value)
    data = load_data("eurosat", seed=0)
    assert data.classes == ("annual crop", "forest", "sea lake")
    assert [len(s) for s in (data.train, data.val, data.test)] == [9, 3, 3]
    assert [data.test.open(index).getpixel((0, 0))[0] for index in range(3)] == [1, 2, 0]
    assert "SeaLake_" in data.test.names[2]


def test_gtsrb_from_disk(root: Path) -> None:
    base = root / "gtsrb"
    for label in range(43):
        for index in range(2):
            save(base / "GTSRB" / "Training" / f"{label:05d}" / f"{index}.ppm", label)
        save(base / "GTSRB" / "Final_Test" / "Images" / f"{label:05d}.ppm", label)
    with (base / "GT-final_test.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerows([["Filename", "ClassId"], *([f"{label:05d}.ppm", label] for label in range(43))])
    data = load_data("gtsrb", seed=0)
    assert (len(data.classes), data.classes[14], data.classes[2]) == (43, "stop", "speed limit 50")
    assert [len(s) for s in (data.train, data.val, data.test)] == [43, 43, 43]
    assert all(data.test.open(index).getpixel((0, 0))[0] == data.test.labels[index] for index in range(43))


def test_svhn_from_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *_: True)
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 20), dtype=np.uint8)
    labels = np.array(list(range(1, 11)) * 2)[:, None]  # in the file, 10 stands for the digit 0
    for part in ("train", "test"):
        scipy.io.savemat(root / f"{part}_32x32.mat", {"X": values, "y": labels})
    images = load_images("svhn")
    assert len(images) == 40
    assert images.names[20] == "svhn/test/00"
    assert (images.labels[9], images.labels[0]) == (0, 1)
    np.testing.assert_array_equal(np.asarray(images.open(3)), values[..., 3])


def test_clevr_counts_objects_and_tests_on_val(root: Path) -> None:
    base = root / "clevr" / "CLEVR_v1.0"
    (base / "scenes").mkdir(parents=True)
    for part in ("train", "val"):
        scenes = []
        for index in range(16):
            name = f"CLEVR_{part}_{index:06d}.png"
            save(base / "images" / part / name, index)
            scenes.append({"image_filename": name, "objects": [{}] * (3 + index % 8)})
        (base / "scenes" / f"CLEVR_{part}_scenes.json").write_text(json.dumps({"scenes": scenes}))
    data = load_data("clevr", seed=0)
    assert data.classes == ("three", "four", "five", "six", "seven", "eight", "nine", "ten")
    assert [len(s) for s in (data.train, data.val, data.test)] == [8, 8, 16]
    assert "CLEVR_val_" in data.test.names[0]
    assert data.test.labels.tolist() == [index % 8 for index in range(16)]


def test_dtd_from_disk(root: Path) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for number, part in enumerate(("train", "val", "test")):
        names = [f"{label}/{label}_{number}{index}.png" for label in ("banded", "cob-webbed") for index in range(2)]
        for name in names:
            save(base / "images" / name, 9)
        (base / "labels" / f"{part}1.txt").write_text("\n".join(names))
    data = load_data("dtd", seed=0)
    assert data.classes == ("banded", "cob webbed")
    assert [len(s) for s in (data.train, data.val, data.test)] == [4, 4, 4]
    assert "banded_20" in data.test.names[0]


def test_offline_error_says_where_to_put_what(root: Path) -> None:
    with pytest.raises(DataError) as error:
        load_data("eurosat", seed=0)
    for message in ("'eurosat/2750'", str(root), "--download", "--from PATH"):
        assert message in str(error.value)


def test_what_is_missing_is_downloaded_only_when_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Fake:
        data = np.zeros((20, 3, 2, 2), np.uint8)
        labels = (*range(10), *range(10))
        classes = DATASETS["stl10"].classes

        def __init__(self, root: str, *, split: str, download: bool = False) -> None:
            calls.append(download)
            if download:
                (Path(root) / "stl10_binary").mkdir(exist_ok=True)

    monkeypatch.setattr("torchvision.datasets.STL10", Fake)
    with pytest.raises(DataError, match="looked for 'stl10_binary'"):
        load_data("stl10", seed=0)
    assert calls == []
    data = replace(DATASETS["stl10"], sizes={"train": 20, "test": 20})
    summary = prepare(data, progress=Silent(), download=True, check_only=True)
    assert (calls, summary.sizes, summary.root) == ([True, True, False, False], {"train": 20, "test": 20}, root)
    assert (load_data("stl10", seed=0).classes[0], len(load_data("stl10", seed=0).test)) == ("airplane", 20)


def test_a_torchvision_without_class_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        data = np.zeros((8, 3, 2, 2), np.uint8)
        labels = (0, 1) * 4

        def __init__(self, root: str, *, split: str) -> None: ...

    (tmp_path / "stl10_binary").mkdir()
    monkeypatch.setattr("torchvision.datasets.STL10", Old)
    with pytest.raises(DataError, match="update torchvision"):
        load_data("stl10", seed=0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("AnnualCrop", "annual crop"),
        ("hard-leaved pocket orchid", "hard leaved pocket orchid"),
        ("apple_pie", "apple pie"),
        ("707-320", "707-320"),
        ("DC-10", "dc-10"),
        ("F-16A/B", "f-16a/b"),
        ("apartment_building/outdoor", "apartment building outdoor"),
        ("AM General Hummer SUV 2000", "am general hummer suv 2000"),
        ("Forest", "forest"),
    ],
)
def test_class_names_become_words(line: str, expected: str) -> None:
    assert words(line) == expected


def test_the_data_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_folder() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PIXPROMPT_DATA")
    assert data_folder() == tmp_path / ".cache" / "pixprompt" / "data"
