"""A disk that fills up between the question and the answer: what was paid for is kept, and nothing more is sent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pixprompt.core import PixpromptError
from pixprompt.ledger.summary import read_ledger

from .events import LONG
from .scripted_sender import ScriptedSender, images, journal, named

MEGABYTES = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    try:
        process = subprocess.run(mounted, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if process.returncode:
        pytest.skip(f"a file system cannot be mounted here: {process.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Leaves no byte free."""
    with (place / "hog").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def answers(fill_at: int, place: Path, length: int = 10) -> Callable[[int], Any]:
    """Right answers, with long labels; before the answer to one image goes out, the disk is full."""

    full = threading.Event()

    def answer(number: int) -> Any:
        if number == fill_at:
            fill(place)
            full.set()
        elif number > fill_at >= 0:
            full.wait(LONG)
        return {**named(number), f"{number} {'x' * length}": 0.0}

    return answer


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(("length", "count"), [(10, 200), (20_000, 60)])
def test_an_answer_is_kept_on_a_full_disk_and_the_run_stops_before_the_next_request(
    small_disk: Path, concurrency: int, length: int, count: int
) -> None:
    numbers = list(range(count))
    sender = ScriptedSender(answer=answers(20, small_disk, length))
    querier = journal(sender, small_disk / "l", concurrency=concurrency)
    with pytest.raises(PixpromptError, match=r"no room .* for the answers"):
        querier(images(*numbers))
    querier.close()
    sent = sorted(sender.image_numbers)
    assert 20 in sent
    assert len(sent) < count  # those for which there was room
    summary = read_ledger(small_disk / "l")
    assert (summary["answers"], summary["in_doubt"]["requests"], summary["queries"]) == (len(sent), 0, len(sent))

    (small_disk / "hog").unlink()
    again = ScriptedSender(answer=answers(-1, small_disk, length))
    resumed = journal(again, small_disk / "l", concurrency=concurrency)
    rows = resumed(images(*numbers))
    resumed.close()
    assert sorted(again.image_numbers + sent) == numbers  # nothing is bought twice
    whole = journal(ScriptedSender(answer=answers(-1, small_disk, length)))
    assert torch.equal(rows, whole(images(*numbers)))


def test_without_room_for_the_answers_nothing_is_sent(small_disk: Path) -> None:
    sender = ScriptedSender()
    querier = journal(sender, small_disk / "l", concurrency=64)
    fill(small_disk)
    with pytest.raises(PixpromptError, match=r"no room .* for the answers"):
        querier(images(2, 3))
    querier.close()
    assert sender.image_numbers == []


def test_room_is_set_aside_in_the_file_and_free_again_at_the_end(tmp_path: Path) -> None:
    querier = journal(ScriptedSender(), tmp_path / "l")
    querier(images(1, 2, 3))
    log = os.stat(tmp_path / "l-wal")
    assert log.st_blocks * 512 - log.st_size >= 1 << 16
    querier.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l"]


def test_without_allocation_a_disk_with_too_little_room_is_an_error(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "another")
    sender = ScriptedSender()
    querier = journal(sender, small_disk / "l", concurrency=4)
    querier(images(1, 2, 3))
    fill(small_disk)
    with pytest.raises(PixpromptError, match=r"no room .* for the answers"):
        querier(images(4, 5))
    querier.close()
    assert sorted(sender.image_numbers) == [1, 2, 3]
