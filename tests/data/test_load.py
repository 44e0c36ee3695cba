from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixprompt.core import ConfigError, UnknownName
from pixprompt.data import DATASETS, load_data, load_images

MakeFolder = Callable[[dict[str, int]], Path]


def test_every_data_set_is_described() -> None:
    assert {"digits", "cifar10", "eurosat", "clevr"} <= set(DATASETS)
    assert all(line.strip() for line in DATASETS.describe().values())


def test_a_misspelt_name_gets_a_suggestion() -> None:
    for load in (lambda: load_data("digit", seed=0), lambda: load_images("digit")):
        with pytest.raises(UnknownName, match="Did you mean 'digits'"):
            load()


def test_a_path_without_its_prefix_is_recognised(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 3, "dog": 3})
    with pytest.raises(UnknownName, match=f"Write folder:{root}"):
        load_data(str(root), seed=0)
    (root / "t.csv").write_text("path,label\n")
    with pytest.raises(UnknownName, match=f"Write csv:{root}/t.csv"):
        load_data(f"{root}/t.csv", seed=0)
    assert len(load_images(str(root))) == 6


@pytest.mark.parametrize("name", ["folder:", "csv:"])
def test_an_empty_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="write"):
        load_data(name, seed=0)


def test_home_is_understood(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder({"cat": 3, "dog": 3})
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(load_images(f"folder:~/{root.name}")) == 6


def test_a_data_set_wins_over_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load_images("digits")) == 1797


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, pixprompt.data; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
