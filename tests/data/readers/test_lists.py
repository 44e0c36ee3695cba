"""Lists of files in the forms of published data sets, and what can be wrong with them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from pixprompt.core import DataError
from pixprompt.data import load_data
from pixprompt.data.readers.class_names import NamesFile
from pixprompt.data.readers.listed_files import resolve
from pixprompt.data.readers.official.layout import Files, Numbered
from pixprompt.data.readers.rows import ClassFolders, CoOpSplit, PathLabels, Table, TextList


def save(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name, format="PNG")


def test_a_missing_image_is_counted_and_named(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png")
    rows = [("a/1.png", "cat"), *((f"b/{number}.png", "cat") for number in range(7))]
    with pytest.raises(DataError, match=r"7 of 8 listed images are not there: 'b/0.png', .* and 2 more"):
        resolve(tmp_path, rows, {"cat": 0})


def test_a_suffix_of_other_case_is_found(tmp_path: Path) -> None:
    save(tmp_path, "a/One.JPG", "a/two.jpg")
    images = resolve(tmp_path, [("a/One.jpg", "cat"), ("a/two.JPG", "dog")], {"cat": 0, "dog": 1})
    assert [Path(name).name for name in images.names] == ["One.JPG", "two.jpg"]
    assert images.open(0).size == (2, 2)


def test_spellings_that_differ_in_case_alone_are_two_files(tmp_path: Path) -> None:
    save(tmp_path, "a/x.png", "a/X.png")
    images = resolve(tmp_path, [("a/x.png", "cat"), ("a/X.png", "dog")], {"cat": 0, "dog": 1})
    assert {Path(name).name: int(label) for name, label in zip(images.names, images.labels, strict=True)} == {
        "X.png": 1, "x.png": 0,
    }  # fmt: skip


def test_a_line_that_comes_twice_counts_once_and_with_two_labels_not_at_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Few-shot lists that are published hold each line twice."""
    save(tmp_path, "1.png")
    (tmp_path / "few.list").write_text("1.png 0\n1.png 0\n\n")
    with caplog.at_level(logging.WARNING):
        dataset = Files({"train": TextList("few.list")}, Numbered(("a",), start=0)).read(tmp_path)
    assert len(dataset.parts["train"]) == 1
    assert "1 lines come twice" in caplog.text
    (tmp_path / "few.list").write_text("1.png 0\n1.png 1\n")
    with pytest.raises(DataError, match=r"1.png is listed as '0' and as '1'"):
        Files({"train": TextList("few.list")}).read(tmp_path)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "a/../../x.png"])
def test_a_list_cannot_leave_its_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError, match="outside the folder"):
        resolve(tmp_path, [(path, "cat")], {"cat": 0})


def test_names_with_spaces_are_read(tmp_path: Path) -> None:
    save(tmp_path, "some dog/1 2.png")
    (tmp_path / "l.txt").write_text("some dog/1 2.png 3\n")
    assert TextList("l.txt")(tmp_path) == [("some dog/1 2.png", "3")]


@pytest.mark.parametrize("content", ["1.png\n", b"\xff\xfe\x00"])
def test_a_list_of_another_form_is_refused(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "l.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=r"l.txt: (expected a path and a label in line 1|cannot be read as text)"):
        TextList("l.txt")(tmp_path)


def coop(tmp_path: Path, **parts: list[list[object]]) -> Files:
    (tmp_path / "split.json").write_text(json.dumps({"train": [], "val": [], "test": [], **parts}))
    rows = {part: CoOpSplit("split.json", part) for part in ("train", "val", "test")}
    return Files(rows, rows["train"].names)


def test_coop_names_follow_the_numbers_and_not_the_alphabet(tmp_path: Path) -> None:
    save(tmp_path, "1.png", "2.png")
    dataset = coop(tmp_path, train=[["1.png", 1, "ant_eater"], ["2.png", 0, "zebra"]]).read(tmp_path)
    assert dataset.classes == ("zebra", "ant eater")
    assert dataset.parts["train"].labels.tolist() == [1, 0]


def test_a_number_with_two_names_is_refused(tmp_path: Path) -> None:
    layout = coop(tmp_path, train=[["1.png", 0, "cat"]], test=[["2.png", 0, "dog"]])
    with pytest.raises(DataError, match=r"class 0 is called 'cat' and, at 2.png, 'dog'"):
        layout.read(tmp_path)
    with pytest.raises(DataError, match="one name for several classes: 'cat'"):
        coop(tmp_path, train=[["1.png", 0, "cat"], ["2.png", 1, "cat"]]).read(tmp_path)


@pytest.mark.parametrize(
    "content", ["{", '{"train": []}', '{"train": [["a", 0]], "val": [], "test": []}', "[]", "null"]
)
def test_a_damaged_split_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError, match=r"split.json"):
        CoOpSplit("split.json", "train")(tmp_path)


def test_vpt_lists_are_objects(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"a/1.png": "001", "a/2.png": 2}')
    assert PathLabels("train.json", "images")(tmp_path) == [("images/a/1.png", "1"), ("images/a/2.png", "2")]
    (tmp_path / "train.json").write_text("[1]")
    with pytest.raises(DataError, match="expected an object"):
        PathLabels("train.json")(tmp_path)


def test_labels_without_a_name_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "images/a.png")
    (tmp_path / "classes.txt").write_text("1 001.Cat\n")
    (tmp_path / "l.txt").write_text("images/a.png 2\n")
    with pytest.raises(DataError, match="no name for 1 labels, the first is '2'"):
        Files({"train": TextList("l.txt")}, NamesFile(("classes.txt",), r"\d+\.")).read(tmp_path)
    with pytest.raises(DataError, match="labels that no class has: '2'"):
        Files({"train": TextList("l.txt")}, Numbered(("a", "b"), start=0)).read(tmp_path)
    with pytest.raises(DataError, match="expected 2 classes, found 1"):
        Files({"train": TextList("l.txt")}, Numbered(("a", "b"))).read(tmp_path)


def test_one_name_of_two_classes_gets_its_label(tmp_path: Path) -> None:
    save(tmp_path, "train/n1/1.png", "train/n2/1.png")
    (tmp_path / "classnames.txt").write_text("n1 crane\nn2 crane, of the building site\n")
    dataset = Files({"train": ClassFolders("train")}, NamesFile(("none.txt", "classnames.txt"))).read(tmp_path)
    assert dataset.classes == ("crane (n1)", "crane (n2)")


def test_without_a_file_of_names_the_labels_are_the_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, "train/n1/1.png", "train/n2/1.png")
    with caplog.at_level(logging.WARNING):
        dataset = Files({"train": ClassFolders("train")}, NamesFile(("classnames.txt",))).read(tmp_path)
    assert dataset.classes == ("n1", "n2")
    assert "called by their labels" in caplog.text


def test_a_table_is_read_under_its_conditions(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "split,category,timestamp\ntrain,zoo,2012-12-31T23:59:59Z\nseq,zoo,2010\ntrain,zoo,2013-01-01T00:00:00Z\nval,port,2009\n"
    )
    table = Table("m.csv", "images/rgb_{row}.png", "category", {"split": ("train",)}, ("timestamp", "0", "2013"))
    assert table(tmp_path) == [("images/rgb_0.png", "zoo")]
    with pytest.raises(DataError, match="expected a column 'kind'"):
        Table("m.csv", "{row}.png", "kind", {})(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        Table("none.csv", "{row}.png", "kind", {})(tmp_path)


@pytest.mark.parametrize("images", ["", "images/"])
def test_lists_of_ones_own_are_data(tmp_path: Path, images: str) -> None:
    for part, count in (("train", 4), ("test", 2)):
        names = [f"{part}{index}.jpg" for index in range(count)]
        save(tmp_path, *(images + name for name in names))
        lines = [f"{name} {index % 2}" for index, name in enumerate(names) for _ in range(2)]
        (tmp_path / f"{part}.txt").write_text("\n".join(lines))
    data = load_data(f"lists:{tmp_path}")
    assert (data.classes, len(data.train), len(data.val), len(data.test)) == (("class 0", "class 1"), 2, 2, 2)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert load_data(f"lists:{tmp_path}").classes == ("cat", "dog")
    (tmp_path / "train.txt").unlink()
    with pytest.raises(DataError, match=r"expected train.txt"):
        load_data(f"lists:{tmp_path}")
