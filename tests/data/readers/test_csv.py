from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixprompt.core import DataError
from pixprompt.data import load_data, load_images
from pixprompt.data.readers.csv_ import read_csv

MakeFolder = Callable[[dict[str, int]], Path]


@pytest.fixture
def table(make_folder: MakeFolder) -> Path:
    return make_folder({"a": 6, "b": 6}) / "table.csv"


def write(table: Path, *lines: str, encoding: str = "utf-8") -> Path:
    table.write_text("\n".join(lines) + "\n", encoding=encoding)
    return table


def rows(*, splits: bool) -> list[str]:
    part = ["train", "train", "train", "val", "test", "test"]
    return [
        f"{folder}/{i:03d}.png,{label}" + (f",{part[i]}" if splits else "")
        for folder, label in (("a", "Red Fox"), ("b", "owl"))
        for i in range(6)
    ]


def test_given_splits(table: Path) -> None:
    data = load_data(f"csv:{write(table, 'path,label,split', *rows(splits=True))}", seed=0)
    assert data.classes == ("Red Fox", "owl")
    assert [len(s) for s in (data.train, data.val, data.test)] == [6, 2, 4]
    assert Path(data.val.names[1]) == table.parent / "b" / "003.png"
    assert data.val.labels.tolist() == [0, 1]


def test_without_splits_and_whatever_the_order_of_lines_and_columns(table: Path) -> None:
    first = load_data(f"csv:{write(table, 'path,label', *rows(splits=False))}", seed=4)
    turned = [",".join(reversed(row.split(","))) for row in rows(splits=False)[::-1]]
    second = load_data(f"csv:{write(table, 'Label, PATH', *turned)}", seed=4)
    assert first.train.names == second.train.names
    assert first.test.labels.tolist() == second.test.labels.tolist()


def test_byte_order_mark_other_columns_blank_lines_and_absolute_paths(table: Path) -> None:
    lines = [f"{table.parent / 'a' / '000.png'},fox,7", "", "b/000.png, owl ,8"]
    dataset = read_csv(write(table, "path,label,weight", *lines, encoding="utf-8-sig"))
    assert dataset.classes == ("fox", "owl")
    assert len(dataset.parts["train"]) == 2


def test_all_of_a_table_as_images(table: Path) -> None:
    assert len(load_images(f"csv:{write(table, 'path,label,split', *rows(splits=True))}")) == 12


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "a/000.png,x"], "lacking 'path', found 'file', 'label'"),
        (["path;label", "a/000.png;x"], "separated by commas"),
        ([""], "lacking 'path', 'label', found none"),
        (["path,label"], "no rows"),
        (["path,label", "a/000.png,x", "a/001.png,", "a/002.png"], "no label, in line 3, 4"),
        (["path,label", ",x"], "no path, in line 2"),
        (["path,label,split", "a/000.png,x,trian"], r"unknown split 'trian' \(known: train, val, test\), in line 2"),
        (["path,label,split", "a/000.png,x,train", "b/000.png,y,"], "no split, though other lines have one, in line 3"),
        (["path,label", "a/000.png,x", "a/9.png,x", "a/8.png,y"], r"2 of 3 listed files do not exist: .*a/9\.png"),
        (["path,label,split", "a/000.png,x,train", "a/000.png,x,test"], "a path that came before, in line 3"),
    ],
)
def test_bad_tables_are_explained(table: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(write(table, *lines))


def test_unreadable_tables(table: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_csv(table.parent / "gone.csv")
    table.write_bytes("path,label\na/000.png,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match="not a comma-separated UTF-8 table"):
        read_csv(table)


def test_labels_that_read_the_same(table: Path) -> None:
    write(table, "path,label", "a/000.png,Cat", "b/000.png,cat")
    with pytest.raises(DataError, match="'Cat' and 'cat'"):
        load_data(f"csv:{table}", seed=0)
