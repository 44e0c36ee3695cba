"""Images in stores that fsspec reaches, beside those of a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pixprompt.bulk.jobs import find_jobs
from pixprompt.cli import main
from pixprompt.core import ConfigError, DataError, ImageError
from pixprompt.data import each_image, load_images
from pixprompt.stores import StoreFile, images_at, locate, open_at, text_of, write_at

from ..images import files, jpeg, make_prompt, picture

NAMES = ("b/two.png", "b/a/deep.jpg", "top.png", "b/broken.png")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    for name in NAMES:
        system.pipe_file(f"/set/{name}", b"x" if "broken" in name else jpeg(picture(seed=len(name))))
    for name in ("notes.txt", ".hidden.png", ".git/x.png"):
        system.pipe_file(f"/set/{name}", b"x")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def listed(place: str, **options: StoreFile) -> list[str]:
    return [str(inside) for _, inside in images_at(locate(place), on_error=lambda error: None, **options)]


def test_a_folder_of_a_store_is_listed_as_one_of_this_machine(memory, tmp_path: Path) -> None:
    copy_to(memory, tmp_path / "set")
    assert (
        listed("memory://set")
        == listed(str(tmp_path / "set"))
        == ["top.png", "b/broken.png", "b/two.png", "b/a/deep.jpg"]
    )
    assert listed("memory://set", skip=StoreFile("memory://set/b")) == ["top.png"]
    assert listed("memory://set/b/two.png") == ["two.png"]
    with pytest.raises(DataError, match="no such file or folder in the store"):
        listed("memory://set/none")


def test_an_out_that_is_not_there_yet_holds_nothing_finished(memory, tmp_path: Path) -> None:
    jobs = find_jobs([locate("memory://set")], locate("memory://fresh"), ".png", keep=tmp_path / "p.png")
    jobs.leave_out_finished()
    assert (len(jobs), jobs.num_finished) == (4, 0)


def copy_to(memory: fsspec.AbstractFileSystem, folder: Path) -> None:
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(memory.cat_file(f"/set/{name}"))


@pytest.mark.parametrize("out", ["memory://out", "file://{}/out"])
def test_apply_writes_to_a_store_what_it_writes_to_a_folder(
    out: str, memory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_prompt().save(tmp_path / "p.png")
    copy_to(memory, tmp_path / "set")
    out = out.format(tmp_path)
    assert main(["apply", str(tmp_path / "p.png"), str(tmp_path / "set"), "--out", str(tmp_path / "here")]) == 1
    capsys.readouterr()
    assert main(["apply", str(tmp_path / "p.png"), "memory://set", "--out", out, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["written"] == 3
    assert result["failed"] == [
        {"path": "memory://set/b/broken.png", "reason": "not a readable image (of no known format)."}
    ]
    assert files(tmp_path / "here") == ["b/a/deep.png", "b/two.png", "top.png"]
    for name in files(tmp_path / "here"):
        with fsspec.open(f"{out}/{name}") as file:
            assert file.read() == (tmp_path / "here" / name).read_bytes()


def test_an_input_in_a_store_is_never_overwritten(memory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_prompt().save(tmp_path / "p.png")
    before = dict(memory.store)
    assert main(["apply", str(tmp_path / "p.png"), "memory://set/top.png", "--out", "memory://set"]) == 2
    assert "memory://set/top.png is an input and would be overwritten" in capsys.readouterr().err
    assert memory.store == before


def test_stores_that_cannot_be_reached_are_named_without_their_keys(tmp_path: Path) -> None:
    for url, reason in (
        ("nostore://key:secret@bucket/a.png", "Protocol not known"),
        ("sftp://u:secret@h/a", "paramiko"),
    ):
        with pytest.raises(ConfigError, match=reason) as error:
            StoreFile(url).reach()
        assert "secret" not in str(error.value)
    with pytest.raises(ImageError, match=r"memory://set/gone\.png: cannot be read"):
        open_at(locate("memory://set/gone.png"))


def test_places_keep_their_meaning_as_text(tmp_path: Path) -> None:
    for place in (tmp_path / "a b.png", StoreFile("s3://bucket/a?b.png")):
        assert locate(text_of(place)) == place
    assert locate(f"file://{tmp_path}/a%20b.png") == tmp_path / "a b.png"


@pytest.mark.parametrize("name", ["memory://set/b", "folder:memory://set/b"])
def test_sets_of_images_lie_in_stores_as_well(name: str, memory) -> None:
    images = load_images(name)
    assert images.names == ("memory://set/b/broken.png", "memory://set/b/two.png", "memory://set/b/a/deep.jpg")
    assert images.open(1).tobytes() == open_at(locate("memory://set/b/two.png")).tobytes()
    assert [place for place, _ in each_image(name)] == list(images.names)
    memory.pipe_file("/set/b/two.png", jpeg(picture(seed=99)))
    assert [old == new for old, new in zip(images.keys, load_images(name).keys, strict=True)] == [True, False, True]


class Buckets(MemoryFileSystem):
    """A store of buckets: its client would make one of a mistyped name, and does not always get through."""

    protocol = "oss"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failure = ""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise AssertionError(f"{path} would be made")

    def isdir(self, path: str) -> bool:
        if self.failure:
            raise ConnectionError(self.failure)
        return super().isdir(path)


def test_no_bucket_is_made_and_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("oss", Buckets, clobber=True)
    write_at(locate("oss://bucket/folder/a.png"), jpeg(picture(seed=1)))
    assert listed("oss://bucket/folder") == ["a.png"]
    monkeypatch.setattr(Buckets, "failure", "no route to the host")
    with pytest.raises(DataError, match=r"oss://bucket/folder: the store does not answer \(no route to the host\)"):
        listed("oss://bucket/folder")


@pytest.mark.parametrize(
    ("url", "failure", "shown"),
    [
        ("oss://bucket/a?sig=hunter2", "403, url='https://host/a?sig=hunter2'", "403, url='https://host/a'"),
        ("oss://me:hunter2@bucket/a", 'no bucket "me:hunter2@bucket"', 'no bucket "bucket"'),
    ],
)
def test_a_failure_of_a_store_shows_no_key(url: str, failure: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("oss", Buckets, clobber=True)
    monkeypatch.setattr(Buckets, "failure", failure)
    with pytest.raises(DataError) as caught:
        listed(url)
    assert shown in str(caught.value)
    assert "hunter2" not in str(caught.value)
