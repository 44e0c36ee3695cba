"""Writing files: all or nothing, and a message that says what to do."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixprompt.core import PixpromptError
from pixprompt.files import make_folder, write_bytes, write_json
from pixprompt.files.lock import FileLock


@pytest.mark.parametrize("durable", [True, False])
def test_content_is_replaced_and_nothing_else_is_left(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old", durable=durable)
    write_bytes(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_files_from_many_threads_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: write_bytes(tmp_path / str(number), b"x", durable=False), range(400)))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
        after = os.umask(0o027)
        assert after == 0o027
    finally:
        os.umask(before)


_FULL = """
import resource, sys
from pathlib import Path
from pixprompt.core import PixpromptError
from pixprompt.files import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 1000)
except PixpromptError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_write_that_fails_midway_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    process = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True)
    assert process.stderr.startswith(f"cannot write {path}: ")
    assert "--out" in process.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_an_interrupt_midway_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(PixpromptError, match=r"cannot write .*file\.bin: No such file"):
        write_bytes(tmp_path / "none" / "file.bin", b"x")


def test_json_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"größe": [1, 2]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": [1, 2]}
    assert "größe" in text
    assert text.endswith("}\n")


def test_make_folder_makes_parents_and_takes_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == folder
    assert make_folder(folder).is_dir()


def test_make_folder_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(PixpromptError, match=r"cannot create the folder .*--out"):
        make_folder(tmp_path / "a" / "b")


def test_make_folder_refuses_what_it_cannot_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PixpromptError, match="is not writable"):
        make_folder(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_lock_that_was_refused_takes_nothing_away_later(tmp_path: Path) -> None:
    import fcntl

    def of_another(path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    refused = FileLock.__new__(FileLock)  # kept, as a traceback keeps it
    other = of_another(tmp_path / "thing-lock")
    with pytest.raises(PixpromptError, match="in use"):
        refused.__init__(tmp_path / "thing")  # type: ignore[misc]
    os.close(other)
    own = FileLock(tmp_path / "thing")
    del refused
    with pytest.raises(BlockingIOError):
        of_another(tmp_path / "thing-lock")
    own.release()
    assert not (tmp_path / "thing-lock").exists()
