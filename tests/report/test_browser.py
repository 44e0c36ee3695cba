"""The page in a real browser: nothing is wider than the screen, on a desk, on a phone, in light and in dark."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pixprompt.report import ReportOptions, write_report

from ..cli.toy import Toy

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FRAME = """<!DOCTYPE html><iframe src="{page}" width="{width}" height="800" style="border:0"></iframe>
<pre></pre><script>
onload = () => {{
  const inner = document.querySelector("iframe").contentDocument, root = inner.documentElement
  const broken = [...inner.images].filter(image => !image.naturalWidth).length
  const color = inner.defaultView.getComputedStyle(inner.body).backgroundColor
  document.querySelector("pre").textContent = [root.scrollWidth, inner.images.length, broken, color].join(" | ")
}}
</script>"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


def look(page: Path, width: int, *options: str) -> tuple[int, int, int, str]:
    """Returns the width that the page takes, its images, how many of them are broken, and its background."""
    frame = page.with_name(f"frame{width}.html")
    frame.write_text(FRAME.format(page=page.name, width=width))
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
               f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=5000", *options, "--dump-dom",
               frame.as_uri()]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    width_taken, images, broken, color = re.search(r"<pre>(.*?)</pre>", process.stdout)[1].split(" | ")
    return int(width_taken), int(images), int(broken), color


@pytest.fixture(scope="module")
def pages(toy_run: Toy, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A page of one run and one that compares two."""
    folder = tmp_path_factory.mktemp("pages")
    first = toy_run.folder / "run"
    second = Path(shutil.copytree(first, folder / "a-run-with-a-name-that-is-as-long-as-the-names-of-runs-are"))
    for name, runs in (("one", [first]), ("two", [first, second])):
        write_report(runs, out=folder / f"{name}.html", options=ReportOptions(device="cpu"))
    return [folder / "one.html", folder / "two.html"]


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_is_wider_than_the_screen(pages: list[Path], width: int) -> None:
    for page in pages:
        taken, images, broken, _ = look(page, width)
        assert taken <= width
        assert images > 20
        assert broken == 0


def test_negative_control_a_wide_element_is_seen(pages: list[Path]) -> None:
    wide = pages[0].with_name("wide.html")
    wide.write_text(pages[0].read_text("utf-8").replace("<main>", f"<main><pre>{'x' * 400}</pre>"), "utf-8")
    assert look(wide, 390)[0] > 390


def test_dark_and_light(pages: list[Path]) -> None:
    colors = {look(pages[0], 390, f"--blink-settings=preferredColorScheme={scheme}")[3] for scheme in (0, 1)}
    assert colors == {"rgb(255, 255, 255)", "rgb(20, 23, 28)"}


def test_on_paper_it_is_light_and_fits(pages: list[Path]) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 718, "height": 1000}, color_scheme="dark")  # A4 without its margins
        page.goto(pages[1].as_uri())
        color = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(color) == "rgb(20, 23, 28)"
        page.emulate_media(media="print")
        assert page.evaluate(color) == "rgb(255, 255, 255)"
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
        assert not page.locator("nav").first.is_visible()
        assert page.locator("h1").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")
        browser.close()
