"""The map in a real browser: hands and keys move it, what is pointed at is told, what is drawn around is listed."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import uvicorn

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.server import bound
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes
from tests.extras import require
from tests.processes import DEADLINE_SECONDS

pytestmark = [pytest.mark.extra, pytest.mark.slow]

SIZE = {"width": 1366, "height": 768}
WHERE = """(number) => {
  const { picture } = document.querySelector("section.map"), box = picture.canvas.getBoundingClientRect();
  const [x, y] = picture.pixel(picture.points.x[number], picture.points.y[number]);
  return [box.x + x, box.y + y];
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an explorer of a lake of 18 sentences."""
    folder = tmp_path_factory.mktemp("mapped")
    lake = embedded_lakes.make(folder / "lake", embedded_lakes.documents())
    with (
        pytest.MonkeyPatch.context() as patch,
        bound("127.0.0.1", 0) as listening,
        LiveLake(lake, ModelFunctions, timeout=300) as live,
    ):
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        app = application(live, title="Lake", names=("127.0.0.1",))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    require("playwright", "browser")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Mapped:
    """A map in a page of the browser, and what the browser complained of."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.complaints, self.requests = page, list[str](), list[str]()
        page.set_default_timeout(1000 * DEADLINE_SECONDS)
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        self.wait("in view")
        self.canvas = page.locator("section.map canvas")
        self.canvas.scroll_into_view_if_needed()

    def wait(self, text: str) -> str:
        """Return what the map says of itself once `text` is in it."""
        self.page.locator("[data-status]", has_text=text).wait_for()
        said: str = self.page.locator("[data-status]").inner_text()
        return said

    def point(self, number: int) -> tuple[float, float]:
        """Return where on the page a point is."""
        found: list[float] = self.page.evaluate(WHERE, number)
        return found[0], found[1]

    def zoom(self) -> float:
        found: float = self.page.evaluate("document.querySelector('section.map').picture.view.zoom")
        return found


@pytest.fixture(params=["light", "dark"])
def mapped(request: pytest.FixtureRequest, chromium: Any, place: str) -> Iterator[Mapped]:
    context = chromium.new_context(viewport=SIZE, color_scheme=request.param)
    found = Mapped(context.new_page(), f"{place}/map?of=sentences&colour=document")
    yield found
    assert found.complaints == []
    assert all(url.startswith(place) for url in found.requests)
    context.close()


def test_every_colour_of_the_legend_is_on_the_map(mapped: Mapped) -> None:
    assert mapped.page.locator(".legend button").count() == 6
    shown = mapped.page.evaluate("""() => {
      const canvas = document.querySelector("section.map canvas");
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
      for (let i = 0; i < data.length; i += 4) seen.add(`rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`);
      return [...seen];
    }""")
    colours = mapped.page.evaluate(
        "() => [...document.querySelectorAll('.legend .swatch')].map((s) => getComputedStyle(s).backgroundColor)"
    )
    assert len(set(colours)) == 6
    assert set(colours) < set(shown)


def test_what_is_pointed_at_is_told_and_a_click_opens_it(mapped: Mapped) -> None:
    mapped.page.mouse.move(*mapped.point(0))
    told = mapped.page.locator(".told a")
    told.wait_for()
    text = told.inner_text()
    mapped.page.mouse.click(*mapped.point(0))
    mapped.page.wait_for_url("**/sentence?**")
    assert text in mapped.page.locator(".sentences .here").inner_text()


def test_what_is_drawn_around_is_listed_and_asked_for_in_sql(mapped: Mapped) -> None:
    box = mapped.canvas.bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    mapped.page.keyboard.down("Shift")
    for n, (x, y) in enumerate(corners):
        mapped.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not n:
            mapped.page.mouse.down()
    mapped.page.mouse.up()
    mapped.page.keyboard.up("Shift")
    assert "18 chosen" in mapped.wait("chosen")
    mapped.page.locator("[data-list] p a").click()
    mapped.page.wait_for_url("**/sql?**")
    assert "18 rows" in mapped.page.locator("[role=status]").first.inner_text()


def test_the_view_is_in_the_address(mapped: Mapped, place: str) -> None:
    mapped.page.mouse.move(*mapped.point(3))
    mapped.page.mouse.wheel(0, -700)
    mapped.page.wait_for_url(re.compile("view="))
    zoom = float(parse_qs(urlsplit(mapped.page.url).query)["view"][0].split(",")[2])
    assert zoom > 2
    assert zoom == pytest.approx(mapped.zoom(), rel=1e-4)
    before = mapped.point(3)
    mapped.page.reload()
    mapped.wait("in view")
    assert np.allclose(before, mapped.point(3), atol=1)


def test_keys_move_tell_choose_and_open(mapped: Mapped) -> None:
    mapped.canvas.focus()
    for key in ("+", "+", "ArrowLeft", "ArrowDown", "-", "0"):
        mapped.page.keyboard.press(key)
    assert mapped.zoom() == 1
    mapped.page.keyboard.press("a")
    mapped.wait("18 chosen")
    mapped.page.keyboard.press("Escape")
    mapped.page.locator("[data-do=none]").wait_for(state="hidden")
    picture = "document.querySelector('section.map').picture"
    mapped.page.evaluate(f"() => {{ const p = {picture}; p.view.x = p.points.x[2]; p.view.y = p.points.y[2]; }}")
    mapped.page.keyboard.press("+")
    mapped.page.locator(".told a").wait_for()
    mapped.page.keyboard.press("Enter")
    mapped.page.wait_for_url("**/sentence?**")


def test_a_finger_tells_and_its_link_opens(chromium: Any, place: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    mapped = Mapped(context.new_page(), f"{place}/map?of=words&w=bank")
    mapped.page.touchscreen.tap(*mapped.point(1))
    mapped.page.locator(".told a").click()
    mapped.page.wait_for_url("**/sentence?**")
    assert mapped.complaints == []
    context.close()


def test_the_map_breaks_no_rule_of_accessibility(chromium: Any, place: str) -> None:
    require("axe_playwright_python", "browser")
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport=SIZE, color_scheme=scheme)
        mapped = Mapped(context.new_page(), f"{place}/map?of=sentences&colour=margin")
        mapped.canvas.focus()
        mapped.page.keyboard.press("a")
        mapped.wait("chosen")
        mapped.page.evaluate(axe + "; window.axe = axe; 0")
        found = mapped.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]][:3]) for rule in found] == []
        context.close()


def test_without_scripts_the_page_is_its_list(chromium: Any, place: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{place}/map?of=sentences")
    assert page.locator("[data-list] li").count() == 18
    assert not page.locator("section.map").is_visible()
    context.close()
