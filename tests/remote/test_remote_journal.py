"""Remote models with a ledger: asked once, side by side, within a budget, and the same whatever happens in between."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pixprompt.core import (
    BudgetError,
    ConfigError,
    DoubtError,
    EndpointError,
    LimitError,
    Model,
    PixpromptError,
)
from pixprompt.ledger import Ledger
from pixprompt.ledger.ledger import Totals
from pixprompt.ledger.summary import read_ledger
from pixprompt.remote.refusals import ImageRefused

from .events import LONG, count_stops, until
from .scripted_sender import ScriptedSender, fault, images, journal, remote, some_fail

SEVEN = images(*range(7))


def test_it_is_a_model_and_asks_each_image_once() -> None:
    sender = ScriptedSender()
    querier = journal(sender, budget=9)
    assert isinstance(querier, Model)
    rows = querier(images(3, 1, 3, 2))
    assert querier.spec.labels == ("(other)", "label 3", "common", "label 1", "label 2")
    assert rows.tolist() == [[0, 0.75, 0.25, 0, 0], [0, 0, 0.25, 0.75, 0], [0, 0.75, 0.25, 0, 0], [0, 0, 0.25, 0, 0.75]]
    assert torch.equal(querier(images(2, 3)), rows[[3, 0]])
    assert sorted(sender.image_numbers) == [1, 2, 3]
    assert (querier.queries, querier.budget.spent, querier.totals().cached, querier.distinct) == (3, 3, 1 + 2, 3)


def test_the_first_request_ever_is_about_one_image_alone(tmp_path: Path) -> None:
    sender = ScriptedSender()
    with journal(sender, tmp_path / "l").ledger:
        journal(sender, tmp_path / "l")(SEVEN)
        assert sender.batches[0] == [0]
        assert sorted(map(len, sender.batches)) == [1, 2, 2, 2]
    sender = ScriptedSender()
    journal(sender, tmp_path / "l")(images(7, 8, 9))
    assert sorted(map(len, sender.batches)) == [1, 2]  # the endpoint is known now
    assert sender.batches != [[7], [8, 9]] or sender.batches[0] == [7, 8]


def test_what_is_wrong_shows_at_the_first_image() -> None:
    sender = ScriptedSender(fault("refused", 401))
    querier = journal(sender)
    with pytest.raises(EndpointError, match="Check the credentials"):
        querier(SEVEN)
    assert (sender.batches, querier.budget.spent, querier.totals().requests) == ([[0]], 0, 1)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_rows_do_not_hang_on_which_answer_comes_first(concurrency: int) -> None:
    """Later images are answered sooner; labels are found in the order of the images all the same."""
    expected = journal(ScriptedSender(), concurrency=1)(SEVEN)
    answered = {number: threading.Event() for number in range(7)}

    def after_the_next(number: int) -> float:
        if number % 2 and number + 2 < min(2 * concurrency, 7):  # the first image of a request, and the next one begins
            answered[number + 2].wait(LONG)
        answered[number].set()
        return 0.0

    sender = ScriptedSender(slow=after_the_next)
    querier = journal(sender, concurrency=concurrency)
    assert torch.equal(querier(SEVEN), expected)
    assert sender.most_under_way == min(concurrency, 3)


def test_an_earlier_session_is_replayed_bit_by_bit(tmp_path: Path) -> None:
    scores = ScriptedSender(answer=lambda number: [number + 1 / 3, -number / 7, 1e-9])
    before = journal(scores, tmp_path / "l", budget=20)(SEVEN)
    sender = ScriptedSender()
    again = journal(sender, tmp_path / "l", budget=20)
    assert (again.budget.spent, again.distinct) == (7, 0)
    assert torch.equal(again(SEVEN), before)
    assert (sender.batches, again.budget.spent, again.distinct) == ([], 7, 7)
    anew = journal(sender, tmp_path / "l", budget=20, session_only=True)
    assert anew.budget.spent == 0


def test_replicates_ask_again() -> None:
    sender = ScriptedSender()
    querier = journal(sender)
    assert torch.equal(querier.query(images(1), 0)[:, :3], querier.query(images(1), 1)[:, :3])
    assert (sender.image_numbers, querier.distinct) == ([1, 1], 2)


def test_another_encoding_or_endpoint_is_another_question(tmp_path: Path) -> None:
    querier = journal(ScriptedSender(), tmp_path / "l")
    querier(images(1))
    sender = ScriptedSender()
    journal(sender, tmp_path / "l", model=remote(sender, url="http://127.0.0.1:9/other"))(images(1))
    assert sender.image_numbers == [1]


# Budgets -------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_not_asked_at_all() -> None:
    sender = ScriptedSender()
    querier = journal(sender, budget=3)
    with pytest.raises(BudgetError, match="7 more queries were wanted, but 3 of 3"):
        querier(SEVEN)
    assert sender.batches == []
    few = journal(sender, max_requests=3)
    with pytest.raises(LimitError, match=r"4 more requests were wanted, but 3 of 3 .*--max-requests"):
        few(SEVEN)
    assert sender.batches == []
    journal(sender, max_requests=4)(SEVEN)


def test_failures_that_may_be_billed_are_spent_and_others_are_released() -> None:
    sender = ScriptedSender(None, fault("lost"), fault("throttled", 429), fault("unsent"))
    querier = journal(sender, budget=9, concurrency=1)
    querier(images(0, 1, 2))
    assert sender.batches == [[0], [1, 2], [1, 2], [1, 2], [1, 2]]
    totals = querier.ledger.totals()
    assert querier.budget.spent == totals.images == 1 + 2 + 2
    assert (totals.requests, totals.failed, totals.retried, totals.in_doubt) == (5, 3, 3, 0)


def test_a_retry_that_does_not_fit_ends_the_asking() -> None:
    sender = ScriptedSender(None, fault("lost"))
    querier = journal(sender, budget=4, concurrency=1)
    with pytest.raises(BudgetError):
        querier(images(0, 1, 2))
    assert (sender.batches, querier.budget.spent) == ([[0], [1, 2]], 3)


def test_of_a_batch_that_failed_in_part_only_the_rest_is_asked_again() -> None:
    sender = ScriptedSender(None, some_fail(2))
    querier = journal(sender, concurrency=1)
    querier(images(0, 1, 2, 3))
    assert sender.batches == [[0], [1, 2], [2], [3]]
    assert (querier.queries, querier.ledger.totals().retried) == (5, 1)


# Errors --------------------------------------------------------------------------------------------------------------


def test_after_an_error_what_is_under_way_is_finished_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(numbers: list[int]) -> None:
        together.wait(LONG)
        return fault("refused", 403)(numbers)

    def good(numbers: list[int]) -> list[dict[str, float]]:
        before = len(stops)
        together.wait(LONG)
        until(lambda: len(stops) > before)
        return [{"late": 1.0} for _ in numbers]

    together, stops = threading.Barrier(2), count_stops(monkeypatch)
    sender = ScriptedSender(None, bad, good)
    querier = journal(sender, tmp_path / "l", concurrency=2)
    with pytest.raises(EndpointError, match="refuses"):
        querier(images(*range(20)))
    assert len(sender.batches) == 3  # nothing new was begun
    totals = querier.ledger.totals()
    assert (totals.failed, totals.in_doubt, totals.images) == (1, 0, 1 + 2)
    sender = ScriptedSender()
    journal(sender, tmp_path / "l")(images(*range(20)))
    assert len(sender.image_numbers) == 20 - 3


@pytest.mark.parametrize(
    "send",
    [
        lambda: os.kill(os.getpid(), signal.SIGINT),
        # To another thread than the main one, which sleeps on: so may any Ctrl-C end that comes as it falls asleep.
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT),
    ],
)
def test_ctrl_c_finishes_what_is_under_way(
    send: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(numbers: list[int]) -> list[dict[str, float]]:
        before = len(stops)
        send()
        until(lambda: len(stops) > before)
        return [{"late": 1.0} for _ in numbers]

    stops = count_stops(monkeypatch)
    sender = ScriptedSender(None, interrupt)
    querier = journal(sender, tmp_path / "l", concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        querier(images(*range(9)))
    assert len(sender.batches) == 2
    assert querier.ledger.totals() == Totals(3, 2, 0, 0, 0, 0)
    assert querier(images(0, 1, 2)).shape[0] == 3  # and the journal can be used again


def test_an_image_that_is_refused_is_told_from_an_endpoint_that_is() -> None:
    for play, error in ((fault("refused", 400), ImageRefused), (fault("refused", 404), EndpointError)):
        querier = journal(ScriptedSender(None, play), concurrency=1)
        with pytest.raises(error) as raised:
            querier(images(0, 1))
        assert isinstance(raised.value, ImageRefused) is (error is ImageRefused)
    querier = journal(ScriptedSender(None, some_fail(1, kind="refused")), concurrency=1)
    with pytest.raises(ImageRefused):
        querier(images(0, 1))


# In doubt ------------------------------------------------------------------------------------------------------------


def crashed(path: Path) -> None:
    """Leaves three answers, and a request about two images on its way."""
    querier = journal(ScriptedSender(), path, concurrency=1)
    querier(images(0, 1, 2))
    keys = querier.model.keys((images(3, 4) * 255).byte().permute(0, 2, 3, 1).contiguous().numpy())
    (request,) = querier.ledger.plan([keys])
    querier.ledger.begin(request, len(keys))
    querier.ledger.close()


def test_requests_in_doubt_need_a_policy(tmp_path: Path) -> None:
    crashed(tmp_path / "l")
    for policy in (None, "ask"):
        with pytest.raises(DoubtError, match=r"1 requests about 2 images .*request 3 of 20.*--in-doubt retry"):
            journal(ScriptedSender(), tmp_path / "l", in_doubt=policy)
    with pytest.raises(ConfigError, match="ask, retry, skip"):
        journal(ScriptedSender(), tmp_path / "l", in_doubt="hope")


def test_asking_again_is_named_and_spent(tmp_path: Path) -> None:
    crashed(tmp_path / "l")
    sender = ScriptedSender()
    querier = journal(sender, tmp_path / "l", in_doubt="retry")
    rows = querier(images(*range(5)))
    assert torch.equal(rows, journal(ScriptedSender())(images(*range(5))))
    assert (sender.image_numbers, querier.budget.spent, querier.queries) == ([3, 4], 7, 7)
    assert "asked again, and perhaps billed twice" in querier.notes[0]
    querier.ledger.close()
    assert "asked again" in journal(ScriptedSender(), tmp_path / "l").notes[0]  # it is decided, and stays named


def test_skipping_leaves_rows_of_nan_for_good(tmp_path: Path) -> None:
    crashed(tmp_path / "l")
    for policy in ("skip", None):
        sender = ScriptedSender()
        querier = journal(sender, tmp_path / "l", in_doubt=policy)
        rows = querier(images(*range(5)))
        assert (sender.batches, rows.isnan().all(1).tolist()) == ([], [False, False, False, True, True])
        assert torch.equal(rows.isnan().any(1), rows.isnan().all(1))
        assert "left without an answer" in querier.notes[0]
        assert querier.ledger.totals().skipped == 2
        querier.ledger.close()
    assert read_ledger(tmp_path / "l")["answers"] == 3


def test_doubts_about_another_endpoint_are_left_alone(tmp_path: Path) -> None:
    crashed(tmp_path / "l")
    other = remote(ScriptedSender())
    other.protocol.endpoint = type(other.protocol.endpoint)("http://127.0.0.1:9/b", "pixels", image_size=(1, 1))
    journal(ScriptedSender(), tmp_path / "l", model=other, in_doubt="skip").ledger.close()
    with pytest.raises(DoubtError):
        journal(ScriptedSender(), tmp_path / "l")


def test_ledgers_of_local_and_of_remote_models_are_not_mixed(tmp_path: Path) -> None:
    journal(ScriptedSender(), tmp_path / "remote").ledger.close()
    with pytest.raises(PixpromptError, match="holds replies and not rows"):
        Ledger(tmp_path / "remote")
    Ledger(tmp_path / "local").close()
    with pytest.raises(PixpromptError, match="holds rows and not replies"):
        journal(ScriptedSender(), tmp_path / "local")
