from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pixprompt.core import DataError
from pixprompt.data.splits.manifest import Manifest

ROWS = [("b/2.jpg", 1, "d" * 64), ("a/1.jpg", 0, "e" * 64), ("a/ä 3.jpg", 0, "f" * 64)]


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest.of("toy", "train", ("cat", "dog"), ROWS)
    manifest.write(tmp_path / "train.tsv")
    assert Manifest.read(tmp_path / "train.tsv") == manifest
    assert [row[0] for row in manifest.rows] == ["a/1.jpg", "a/ä 3.jpg", "b/2.jpg"]


def test_the_digest_is_that_of_names_class_names_and_contents() -> None:
    manifest = Manifest.of("toy", "train", ("cat", "dog"), ROWS)
    lines = [f"a/1.jpg\tcat\t{'e' * 64}\n", f"a/ä 3.jpg\tcat\t{'f' * 64}\n", f"b/2.jpg\tdog\t{'d' * 64}\n"]
    assert manifest.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert Manifest.of("other", "val", ("cat", "dog"), ROWS[::-1]).digest == manifest.digest
    swapped = [(name, 1 - label, digest) for name, label, digest in ROWS]
    assert Manifest.of("toy", "train", ("dog", "cat"), swapped).digest == manifest.digest
    assert Manifest.of("toy", "train", ("dog", "cat"), ROWS).digest != manifest.digest
    assert Manifest.of("toy", "train", ("cat", "dog"), ROWS[:2]).digest != manifest.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a/1.jpg\t0", "a/1.jpg\t1", "digest does not match"),
        ("a/1.jpg", "a/9.jpg", "digest does not match"),
        ("pixprompt split 1", "pixprompt split 2", "another format"),
        ("\t1\t", "\t7\t", "another format"),
        ('["cat", "dog"]', "cat", "no readable split manifest"),
        ("\t", "", "no readable split manifest"),
    ],
)
def test_a_changed_manifest_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "train.tsv"
    Manifest.of("toy", "train", ("cat", "dog"), ROWS).write(path)
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(DataError, match=message):
        Manifest.read(path)


def test_a_name_that_ends_a_column_is_refused() -> None:
    with pytest.raises(DataError, match="rename the file"):
        Manifest.of("toy", "train", ("cat",), [("a\tb.jpg", 0, "d" * 64)])
