"""Results of long work reach the disk once each, whatever ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pixprompt.data.canvases.blocks import save_regularly


def counted(stop: int, error: BaseException | None = None) -> Iterator[int]:
    yield from range(stop)
    if error is not None:
        raise error


@pytest.mark.parametrize(("seconds", "batches"), [(-1.0, [[0], [1], [2]]), (60.0, [[0, 1, 2]])])
def test_every_result_is_saved_once_in_order(seconds: float, batches: list[list[int]]) -> None:
    saved: list[list[int]] = []
    save_regularly(counted(3), saved.append, seconds=seconds)
    assert saved == batches


def test_an_interrupt_saves_what_is_there() -> None:
    saved: list[list[int]] = []
    with pytest.raises(KeyboardInterrupt):
        save_regularly(counted(3, KeyboardInterrupt()), saved.append, seconds=60)
    assert saved == [[0, 1, 2]]


def test_a_batch_that_cannot_be_saved_is_not_saved_a_second_time() -> None:
    saved: list[list[int]] = []

    def full(batch: list[int]) -> None:
        saved.append(batch)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        save_regularly(counted(3), full, seconds=-1)
    assert saved == [[0]]
