"""Data sets through the `datasets` library: a folder on this machine, and what is said where it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from pixprompt.core import ConfigError, DataError
from pixprompt.data import load_data


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"hf:cifar10 needs the package datasets.*pip install 'pixprompt\[hf\]'"):
        load_data("hf:cifar10")


@pytest.mark.slow
def test_a_folder_in_the_hubs_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    number = 0
    for part, count in (("train", 6), ("validation", 2), ("test", 3)):
        for index in range(count):
            for label in ("cat", "dog"):
                path = tmp_path / "set" / part / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (3, 3), (number, 0, 0)).save(path)
                number += 1
    data = load_data(f"hf:{tmp_path / 'set'}", seed=0)
    assert data.classes == ("cat", "dog")
    assert [len(images) for images in (data.train, data.val, data.test)] == [12, 4, 6]
    colors = [data.test.open(index).getpixel((0, 0))[0] for index in range(6)]
    assert sorted(colors) == list(range(16, 22))
    assert [color % 2 for color in colors] == data.test.labels.tolist()


@pytest.mark.slow
def test_what_the_library_cannot_find_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match=r"hf:.*nothing: cannot be loaded"):
        load_data(f"hf:{tmp_path / 'nothing'}")
