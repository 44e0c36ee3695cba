"""A committee learned and used through a server of this package: every view is a query, and the ledger holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixprompt
from pixprompt.cli.reports.ledger import format_ledger
from pixprompt.data import Data
from pixprompt.engine import TrainConfig, train
from pixprompt.ledger import ReplyLedger
from pixprompt.ledger.summary import read_ledger
from pixprompt.models import as_model
from pixprompt.serving import Server, Service

from .test_views_run import through_a_white_frame


@pytest.fixture
def url() -> Iterator[str]:
    model = as_model(through_a_white_frame, image_size=(16, 16), name="framed")
    with Server(Service(model)) as server:
        yield server.url


def queries_in(path: Path) -> int:
    with ReplyLedger(path) as ledger:
        return ledger.totals().images


def test_a_committee_is_learned_and_used_over_http(url: str, data: Data, tmp_path: Path) -> None:
    config = TrainConfig(model=url, protocol="v2", data="toy", budget=500, views="2", test_images=15)
    result = train(config, out=tmp_path / "run", data=data)
    assert result.best == "prompt"
    assert result.queries["per_prediction"] == 2
    learned = queries_in(tmp_path / "run/ledger.sqlite")
    assert learned == result.queries["images"] <= 500
    report = list(format_ledger(read_ledger(tmp_path / "run/ledger.sqlite")))
    assert "predicting  2 queries for each image" in report
    (tmp_path / "new").mkdir()
    for index in range(6):
        data.test.open(index).save(tmp_path / f"new/{index}.png")
    deployed = pixprompt.deploy(tmp_path / "run")
    lines = list(pixprompt.predict(deployed, [str(tmp_path / "new")]))
    images = [tmp_path / f"new/{index}.png" for index in range(6)]
    assert [values.label for values in deployed(images)] == [line["label"] for line in lines]
    assert asyncio.run(deployed.answer(images[0].read_bytes())) == deployed(images[0])
    deployed.close()
    assert all("label" in line for line in lines)
    assert learned < queries_in(tmp_path / "run/ledger.sqlite") <= learned + 2 * 6
