"""Finding images in folders: order, links, hidden things, folders that cannot be listed."""

from pathlib import Path

import pytest
from PIL import Image

from pixprompt.files.images import IMAGE_SUFFIXES, is_image_name, walk


def names_of(root: Path, **options: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in walk(root, on_error=lambda error: None, **options)]


def test_pillow_can_read_every_suffix() -> None:
    known = Image.registered_extensions()
    assert {suffix for suffix in IMAGE_SUFFIXES if known.get(suffix) not in Image.OPEN} == set()


@pytest.mark.parametrize(("name", "counts"), [("a.JPG", True), ("a.png", True), (".a.png", False), ("a.txt", False)])
def test_names(name: str, counts: bool) -> None:
    assert is_image_name(name) == counts


def test_order_links_and_hidden_folders(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/x/3.png", ".hidden/4.png", "__MACOSX/5.png", "out/6.png", "0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert names_of(tmp_path, skip=tmp_path / "out") == ["0.png", "a/x/3.png", "b/1.png", "b/2.png"]
    assert "out/6.png" in names_of(tmp_path)


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk(tmp_path / "nothing", on_error=errors.append)) == []
    assert isinstance(errors[0], FileNotFoundError)


@pytest.mark.parametrize("block", [1, 3, 7, 8])
def test_order_does_not_depend_on_how_many_names_are_in_memory(block: int, tmp_path: Path) -> None:
    names = [f"{number:02}.png" for number in range(7)]
    for name in (*reversed(names), *(f"z/{name}" for name in names), "y/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = walk(tmp_path, on_error=lambda error: None, block=block)
    assert [str(path.relative_to(tmp_path)) for path in paths] == [*names, "y/x.png", *(f"z/{name}" for name in names)]
