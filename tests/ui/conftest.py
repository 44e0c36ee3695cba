"""One real run of the toy task, and a browser's view of the page without a socket."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pixprompt.cli import main
from pixprompt.serving import Limits
from pixprompt.serving.intake import Intake
from pixprompt.ui.access import Access
from pixprompt.ui.app import UiApp
from pixprompt.ui.runs import RunsFolder

from ..cli.toy import Toy, write_toy
from ..plots.blank import blank_pictures

ORIGIN = "http://127.0.0.1:8420"


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The toy task with a finished run in `run`, whose prompt was kept; its module can be imported from anywhere."""
    folder = tmp_path_factory.mktemp("ui")
    toy = write_toy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXPROMPT_CACHE", str(folder / "cache"))
        patch.syspath_prepend(str(folder))
        blank_pictures(patch)
        assert main(toy.train(folder / "run", "--epochs", "6")) == 0
        yield toy
    sys.modules.pop(toy.module, None)


@pytest.fixture
def runs(toy_run: Toy, tmp_path: Path) -> Path:
    """A folder with a copy of the run, `done`, and one that was begun, `begun`."""
    folder = tmp_path / "runs"
    shutil.copytree(toy_run.folder / "run", folder / "done")
    (folder / "begun").mkdir()
    shutil.copy(folder / "done/config.json", folder / "begun")
    lines = (folder / "done/history.jsonl").read_text().splitlines(keepends=True)
    (folder / "begun/history.jsonl").write_text("".join(lines[:2]))
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves charts empty: figures have tests of their own."""
    empty = {"uri": "data:image/svg+xml;base64,", "alt": "", "missing": None}
    monkeypatch.setattr("pixprompt.report.page.numbers.chart", lambda draw, alt: {**empty, "alt": alt})


@pytest.fixture
def stranger(runs: Path) -> tuple[TestClient, Access]:
    """A browser that has not used the link, and what lets it in."""
    access, intake = Access(), Intake(Limits(linger=0.01), 1_000_000, "127.0.0.1")
    return TestClient(UiApp(RunsFolder(runs), access, intake, device="cpu"), base_url=ORIGIN), access


@pytest.fixture
def browser(stranger: tuple[TestClient, Access]) -> TestClient:
    """A browser that was let in."""
    client, access = stranger
    client.headers["origin"] = ORIGIN
    assert client.post("/session", json={"token": access.token}).status_code == 204
    return client


@pytest.fixture
def drop(browser: TestClient) -> Callable[..., str]:
    """Drops a file; returns what is shown then, or why nothing is."""

    def dropped(target: str, content: bytes, status: int = 200) -> str:
        answer = browser.post(target, content=content)
        assert answer.status_code == status, answer.text
        return answer.text if status == 200 else str(answer.json()["error"])

    return dropped
