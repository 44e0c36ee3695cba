"""Preparing a set: archives, interruptions, damage, manifests of others."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pixprompt.cli import main
from pixprompt.core import ConfigError, DataError
from pixprompt.data import DATASETS, load_data
from pixprompt.data.catalogue import DataSet
from pixprompt.data.prepare import prepare, prepared_folder, read_prepared
from pixprompt.data.readers.official.layout import Files
from pixprompt.data.readers.rows import ClassFolders
from pixprompt.engine.progress import Silent
from pixprompt.files import open_regular
from pixprompt.registry import Registry

SIZES = {"train": 12, "val": 4, "test": 6}
TOY = DataSet(
    "toy", "a toy", Files({part: ClassFolders(part) for part in SIZES}), 2, SIZES, "https://example.org", "CC0", "1 kB",
    classes=("cat", "dog"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXPROMPT_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The toy in its layout, no two images alike."""
    number = 0
    for part, size in SIZES.items():
        for index in range(size):
            path = tmp_path / "toy" / part / ("cat", "dog")[index % 2] / f"{index:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (3, 2), (number, 9, 9)).save(path)
            number += 1
    return tmp_path / "toy"


def packed(folder: Path, suffix: str) -> Path:
    form = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar"}[suffix]
    return Path(shutil.make_archive(str(folder.parent / "pack"), form, folder.parent, "toy"))


def test_a_folder_stays_where_it_is(folder: Path) -> None:
    summary = prepare(TOY, folder, progress=Silent())
    assert (summary.root, summary.sizes, summary.num_classes) == (folder, SIZES, 2)
    files = sorted(path.relative_to(summary.folder).as_posix() for path in summary.folder.rglob("*") if path.is_file())
    assert files == ["set.json", "splits/test.tsv", "splits/train.tsv", "splits/val.tsv"]
    prepared = read_prepared(TOY)
    assert prepared is not None
    assert prepared.parts["val"].names[0] == str(folder / "val/cat/00.png")
    assert prepared.parts["val"].keys[0].startswith("sha256:")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_an_archive_is_unpacked_and_nothing_else_remains(folder: Path, home: Path, suffix: str) -> None:
    archive = packed(folder, suffix)
    from_folder = prepare(TOY, folder, progress=Silent())
    summary = prepare(TOY, archive, progress=Silent())
    shutil.rmtree(folder)
    assert summary.digests == from_folder.digests
    prepared = read_prepared(TOY)
    assert prepared is not None
    assert prepared.parts["test"].open(5).size == (3, 2)
    assert [path.name for path in (home / "prepared").iterdir()] == ["toy"]


def test_a_prepared_set_needs_no_look_at_its_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(TOY, folder, progress=Silent())
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("a folder was listed"))
    touched = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: touched.append(str(path)) or stat(path, **more))
    prepared = read_prepared(TOY)
    assert prepared is not None
    assert not [path for path in touched if path.endswith(".png")]


def test_the_same_images_have_the_same_digests_wherever_they_are(folder: Path, tmp_path: Path) -> None:
    first = prepare(TOY, folder, progress=Silent())
    other = shutil.copytree(folder, tmp_path / "elsewhere" / "deep")
    assert prepare(TOY, other, progress=Silent()).digests == first.digests
    assert prepare(TOY, tmp_path / "elsewhere", progress=Silent()).root == other
    (other / "train/cat/00.png").write_bytes((other / "train/cat/02.png").read_bytes())
    third = prepare(TOY, other, progress=Silent())
    assert third.digests["train"] != first.digests["train"]
    assert third.digests["test"] == first.digests["test"]


def test_known_digests_are_compared(folder: Path, home: Path) -> None:
    known = prepare(TOY, folder, progress=Silent()).digests
    exact = replace(TOY, digests=known)
    assert prepare(exact, folder, progress=Silent()).digests == known
    Image.new("RGB", (3, 2), "white").save(folder / "val/dog/01.png")
    with pytest.raises(DataError, match="contents of 'val' differ from the known ones"):
        prepare(exact, folder, progress=Silent())


def test_wrong_counts_classes_and_order_are_all_said(folder: Path) -> None:
    (folder / "train/cat/00.png").unlink()
    (folder / "test/dog/01.png").unlink()
    (folder / "val/dog").rename(folder / "val/wolf")
    with pytest.raises(
        DataError, match="3 classes instead of 2; train has 11 images instead of 12; test has 5"
    ) as error:
        prepare(TOY, folder, progress=Silent())
    assert "folder:PATH" in str(error.value)
    assert not prepared_folder("toy").exists()


def test_a_missing_folder_and_a_wrong_one_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        prepare(TOY, tmp_path / "nowhere", progress=Silent())
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match=r"expected 'train', 'val', 'test' in .*, found 'test', 'train'"):
        prepare(TOY, folder, progress=Silent())


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_a_damaged_archive_is_refused(folder: Path, home: Path, suffix: str) -> None:
    archive = packed(folder, suffix)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match=r"damaged or incomplete|not the official set"):
        prepare(TOY, archive, progress=Silent())
    assert read_prepared(TOY) is None


@pytest.mark.parametrize(("local", "bits", "words"), [(6, 1, "encrypted"), (8, 99, "compression method")])
def test_an_archive_that_cannot_be_read_here_says_why(tmp_path: Path, local: int, bits: int, words: str) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("a.png", b"x")
    content = bytearray(archive.read_bytes())
    content[local] |= bits  # the flag of a password, or an unknown method, in both headers
    content[content.index(b"PK\1\2") + local + 2] |= bits
    archive.write_bytes(content)
    with pytest.raises(DataError, match=words):
        prepare(TOY, archive, progress=Silent())


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "toy/../../evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as pack:
            pack.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="lies outside"):
        prepare(TOY, archive, progress=Silent())
    assert not list(tmp_path.rglob("evil.png"))


def test_links_in_an_archive_are_passed_over(folder: Path) -> None:
    archive = packed(folder, ".tar")
    with tarfile.open(archive, "a") as tar:
        info = tarfile.TarInfo("toy/train/cat/link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(info)
    assert prepare(TOY, archive, progress=Silent()).sizes == SIZES


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


class Stopping:
    """Interrupts after so many steps of all stages."""

    def __init__(self, after: int) -> None:
        self.after = after

    def stage(self, name: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None:
        self.after -= steps
        if self.after < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 7, 25, 40])
def test_an_interrupted_call_leaves_nothing_whole_and_the_next_goes_on(folder: Path, home: Path, after: int) -> None:
    archive = packed(folder, ".zip")
    whole = prepare(TOY, folder, progress=Silent()).digests
    shutil.rmtree(prepared_folder("toy"))
    with pytest.raises(KeyboardInterrupt):
        prepare(TOY, archive, progress=Stopping(after))
    assert read_prepared(TOY) is None
    before = times(home / "prepared/.toy.partial")
    assert len(before) == min(after + 1, sum(SIZES.values()))
    assert prepare(TOY, archive, progress=Silent()).digests == whole
    assert before.items() <= times(home / "prepared/toy").items()


def test_digests_that_were_made_are_not_made_again(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(TOY, folder, progress=Stopping(9))
    lines = (prepared_folder("toy").with_name(".toy.partial") / "digests.txt").read_text().splitlines()
    assert len(lines) == 10
    (folder / "train/dog/11.png").touch()  # a changed file is read again
    reads: list[str] = []

    def counted(path: str) -> io.BufferedReader:
        reads.append(path)
        return open_regular(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixprompt.data.image_set.open_regular", counted)
        prepare(TOY, folder, progress=Silent())
    assert 12 <= len(reads) <= 13


def test_a_killed_process_leaves_what_the_next_one_takes(folder: Path, home: Path) -> None:
    """A real process that dies without a word in the middle of the digests."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_prepare import TOY\n"
        "from pixprompt.data.prepare import prepare\n"
        "class P:\n"
        "    left = 9\n"
        "    def stage(self, *a): pass\n"
        "    def advance(self, n=1):\n"
        "        P.left -= 1\n"
        "        P.left or os._exit(9)\n"
        "prepare(TOY, Path(sys.argv[1]), progress=P())\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(folder), str(Path(__file__).parent)], check=False)
    assert process.returncode == 9
    assert read_prepared(TOY) is None
    prepare(TOY, folder, progress=Silent())
    assert read_prepared(TOY) is not None


def test_an_older_preparation_is_replaced_at_once(folder: Path, home: Path) -> None:
    prepare(TOY, folder, progress=Silent())
    old = (prepared_folder("toy") / "set.json").read_text()
    with pytest.raises(KeyboardInterrupt):
        prepare(TOY, packed(folder, ".zip"), progress=Stopping(30))
    assert (prepared_folder("toy") / "set.json").read_text() == old
    summary = prepare(TOY, packed(folder, ".zip"), progress=Silent())
    assert summary.root.is_relative_to(prepared_folder("toy"))


def test_images_in_two_splits_are_found(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "test/cat/00.png").write_bytes((folder / "train/cat/00.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        summary = prepare(TOY, folder, progress=Silent())
    assert summary.duplicates == (("train/train/cat/00.png", "test/test/cat/00.png"),)
    assert "1 images of one split are in another" in caplog.text


def test_an_empty_image_file_is_named(folder: Path) -> None:
    (folder / "val/cat/00.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"val/cat/00.png: the file is empty"):
        prepare(TOY, folder, progress=Silent())


def test_images_that_have_gone_are_missed(folder: Path) -> None:
    prepare(TOY, folder, progress=Silent())
    folder.rename(folder.with_name("other"))
    with pytest.raises(DataError, match="which is not there any more"):
        read_prepared(TOY)


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_description_is_refused(folder: Path, content: str) -> None:
    prepare(TOY, folder, progress=Silent())
    (prepared_folder("toy") / "set.json").write_text(content)
    with pytest.raises(DataError, match=r"set.json: cannot be read"):
        read_prepared(TOY)


def test_manifests_of_others_say_who_is_where(folder: Path, tmp_path: Path) -> None:
    first = prepare(TOY, folder, progress=Silent())
    manifests = shutil.copytree(first.folder / "splits", tmp_path / "splits")
    (manifests / "val.tsv").unlink()
    extra = Image.new("RGB", (2, 2))
    extra.save(folder / "train/cat/99.png")
    with pytest.raises(DataError, match="13 images"):
        prepare(TOY, folder, progress=Silent())
    second = prepare(TOY, folder, progress=Silent(), manifests=manifests)
    assert second.sizes == {"test": 6, "train": 12}
    assert second.digests == {part: first.digests[part] for part in ("test", "train")}
    (folder / "train/cat/00.png").unlink()
    with pytest.raises(DataError, match="the manifest of train names 1 images that are not in"):
        prepare(TOY, folder, progress=Silent(), manifests=manifests)
    extra.save(folder / "train/cat/00.png")
    with pytest.raises(DataError, match="contents of 'train' differ"):
        prepare(TOY, folder, progress=Silent(), manifests=manifests)
    with pytest.raises(DataError, match="expected manifests"):
        prepare(TOY, folder, progress=Silent(), manifests=tmp_path / "none")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy among the data sets."""
    sets: Registry[DataSet] = Registry("data set")
    sets.register("toy", TOY.line)(TOY)
    sets.register("digits", DATASETS["digits"].line)(DATASETS["digits"])
    for module in ("pixprompt.data.catalogue", "pixprompt.data.load", "pixprompt.data"):
        monkeypatch.setattr(f"{module}.DATASETS", sets)


@pytest.mark.usefixtures("registered")
def test_the_command_prepares_and_a_run_takes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "prepare", "toy", "--from", str(folder), "--dry-run"]) == 0
    assert "train 12, val 4, test 6" in capsys.readouterr().out
    assert not prepared_folder("toy").exists()
    assert main(["datasets", "prepare", "toy", "--from", str(folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["sizes"] == SIZES
    assert len(summary["digests"]["train"]) == 64
    data = load_data("toy", seed=0)
    assert (len(data.train), len(data.val), len(data.test), data.notes) == (12, 4, 6, ())
    assert "prepared/toy" in data.source
    assert main(["datasets", "show", "toy", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["classes"], facts["splits"], facts["licence"]) == (2, SIZES, "CC0")
    assert "prepared in" in facts["here"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["prepare", "toi"], 2, "Did you mean 'toy'"),
        (["show", "toi"], 2, "Did you mean 'toy'"),
        (["prepare", "toy"], 1, "looked for 'train', 'val', 'test'"),
        (["prepare", "toy", "--download"], 2, "no link that works"),
        (["prepare", "toy", "--from", "nowhere"], 1, "does not exist"),
        (["list", "--of", "vtap"], 2, "Did you mean 'vtab'"),
        (["sow", "toy"], 2, "sow"),
    ],
)
def test_what_goes_wrong_is_said(words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", *words]) == code
    assert message in capsys.readouterr().err


def test_digits_are_prepared_without_a_source(home: Path) -> None:
    summary = prepare(DATASETS["digits"], progress=Silent())
    assert summary.sizes == {"train": 1797}
    assert summary.digests["train"] == "ccf2cbb88f38f73a38300c8adc6852d55489467f32a799a58590d5b8312f4f71"
    data = load_data("digits", seed=3)
    shutil.rmtree(home)
    assert load_data("digits", seed=3).test.names == data.test.names


def test_an_archive_cannot_be_counted_dry(folder: Path) -> None:
    with pytest.raises(ConfigError, match="without unpacking"):
        prepare(TOY, packed(folder, ".zip"), progress=Silent(), check_only=True)
