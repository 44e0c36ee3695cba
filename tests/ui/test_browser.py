"""The page in a real browser: an image is dropped, a run is followed, nothing is wider than a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixprompt.ui import UiServer

from ..cli.toy import Toy

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
LONG = 120_000
"""Milliseconds that nothing takes."""
FILE = """bytes => {
  const files = new DataTransfer()
  files.items.add(new File([new Uint8Array(bytes)], "photo of a cat.png", { type: "image/png" }))
  return files
}"""

SCRIPT = """() => {
  const script = document.createElement("script")
  script.textContent = "window.ran = 1"
  document.body.append(script)
}"""


@pytest.fixture
def served(runs: Path) -> Iterator[UiServer]:
    with UiServer(runs, device="cpu") as server:
        yield server


@pytest.fixture
def page(served: UiServer) -> Iterator[playwright.Page]:
    """A browser that has opened the link; what its console says against the page fails the test."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
        page.set_default_timeout(LONG)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(served.url)
        page.locator("h1", has_text="Runs").wait_for()
        yield page
        assert faults == []
        browser.close()


def is_wide(page: playwright.Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_an_image_is_dropped_and_a_run_is_followed(
    page: playwright.Page, served: UiServer, runs: Path, toy_run: Toy
) -> None:
    assert page.url == f"{served.origin}/"  # the token stays in no address
    page.get_by_role("link", name="done").click()
    photo = list(toy_run.images("test")[2].read_bytes())
    page.dispatch_event(".drop", "drop", {"dataTransfer": page.evaluate_handle(FILE, photo)})
    page.get_by_role("heading", name="with the prompt", exact=True).wait_for()
    images = page.locator(".outcome img")
    assert [images.nth(index).evaluate("image => image.naturalWidth") for index in range(2)] == [16, 16]
    assert page.locator(".answer").count() == 2
    assert "predict" in page.locator(".outcome .command").inner_text()
    assert "'photo of a cat.png' --no-prompt" in page.locator(".outcome .command").inner_text()

    page.goto(f"{served.origin}/run?name=begun")
    status = page.locator("[data-follow] [role=status]")
    status.get_by_text("epoch 2 of 6").wait_for()
    lines = (runs / "done/history.jsonl").read_text().splitlines(keepends=True)
    (runs / "begun/history.jsonl").write_text("".join(lines[:5]))
    status.get_by_text("epoch 5 of 6").wait_for()
    points = page.locator("[data-plot=loss] polyline.train").get_attribute("points")
    assert points is not None
    assert len(points.split()) == 5
    for name in ("prompt.png", "result.json"):
        shutil.copy(runs / "done" / name, runs / "begun")
    page.locator("h2", has_text="The ladder").wait_for()  # the page of a finished run
    assert page.locator("[data-follow]").count() == 0

    page.set_viewport_size({"width": 320, "height": 700})
    for place in ("/", "/run?name=done", "/compare?run=done&run=begun", "/try"):
        page.goto(served.origin + place)
        assert not is_wide(page), place
    page.evaluate("document.querySelector('h1').style.width = '400px'")
    assert is_wide(page)  # negative control
    page.evaluate(SCRIPT)
    assert page.evaluate("window.ran") is None  # the page's policy lets no other script run


def test_another_browser_is_not_let_in(page: playwright.Page, served: UiServer) -> None:
    other = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
    other.goto(f"{served.origin}/run?name=done#{'x' * 43}")
    other.get_by_text("not of this session").wait_for()
    assert other.locator("h2").count() == 0
