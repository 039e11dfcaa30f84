"""The explorer in a real browser: pages draw what they say, break no rule of accessibility, and obey no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.report import report
from polyseme.flows.pictures.picture import write_picture
from polyseme.storage.lake import Lake
from tests.flows.explorer.browsing import Visitor, axe, browser, served
from tests.flows.explorer.test_pages import ADDRESSES
from tests.flows.pictures.examples import coherence, losses, senses, shares

pytestmark = [pytest.mark.extra, pytest.mark.slow]

PAGES = (*ADDRESSES, "/documents?q=script", "/word?w=zyzzyva", "/nowhere", "/sql?q=SELECT nothing")
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def place(live: LiveLake) -> Iterator[str]:
    with served(live) as address:
        yield address


@pytest.fixture(scope="module", params=LOOKS)
def look(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(**LOOKS[request.param], bypass_csp=False)
    yield context
    context.close()


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Visitor]:
    context = chromium.new_context(**LOOKS["light"])
    yield Visitor(context.new_page())
    context.close()


@pytest.mark.parametrize("address", PAGES)
def test_no_page_breaks_a_rule_of_accessibility(look: Any, place: str, address: str) -> None:
    visitor = Visitor(look.new_page())
    visitor.go(place + address)
    # By the browser itself, which the page's policy would refuse.
    visitor.page.evaluate(axe() + "; window.axe = axe; 0")
    found = visitor.page.evaluate("axe.run({resultTypes: ['violations']})")
    serious = [
        (v["id"], [node["html"][:200] for node in v["nodes"]][:3])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page is wider than the screen"
    )
    visitor.page.close()


def test_pages_load_nothing_from_elsewhere_and_break_no_policy(visitor: Visitor, place: str) -> None:
    for address in ADDRESSES:
        visitor.go(place + address)
    assert visitor.complaints == []
    assert [url for url in visitor.requests if not url.startswith(place)] == []


def test_pictures_are_drawn(visitor: Visitor, place: str) -> None:
    for address, pictures in (("/", 2), ("/document?id=river", 1), ("/word?w=bank", 2), ("/sql?q=FROM range(9)", 0)):
        visitor.go(place + address)
        assert visitor.page.locator("figure .drawn > svg").count() == pictures, address


def test_no_text_is_obeyed(visitor: Visitor, place: str) -> None:
    visitor.go(f"{place}/documents")
    links = visitor.page.locator("main a").evaluate_all("found => found.map((a) => a.href)")
    for link in [*links, f"{place}/word?w=was", f"{place}/sql?q=FROM documents"]:
        visitor.go(link)
    assert visitor.complaints == []
    assert len(links) >= 12


FOCUSED = """() => {
    const found = document.activeElement;
    const isSeen = found === document.body || getComputedStyle(found).outlineStyle !== "none";
    return [[...document.querySelectorAll("*")].indexOf(found), isSeen];
}"""
CAN_BE_USED = """() => [...document.querySelectorAll(
    "a, button, input:not([type=hidden]), select, summary, [tabindex='0']")]
    .filter((found) => found.checkVisibility()).length"""


def test_everything_is_reached_by_the_keyboard(visitor: Visitor, place: str) -> None:
    page = visitor.page
    visitor.go(place)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    visitor.go(f"{place}/word?w=bank")
    wanted, reached = page.evaluate(CAN_BE_USED), set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        at, is_seen = page.evaluate(FOCUSED)
        assert is_seen
        reached.add(at)
    assert len(reached) >= wanted


def test_the_mark_of_an_error_in_sql_stands_under_its_place(visitor: Visitor, place: str) -> None:
    visitor.go(f"{place}/sql?q=SELECT 'iiii' FROM wrods")
    left = """([text, last]) => {
        const node = document.querySelector("[role=alert] bdi").firstChild
        const at = last ? node.data.lastIndexOf(text) : node.data.indexOf(text)
        const range = new Range()
        range.setStart(node, at)
        range.setEnd(node, at + 1)
        return range.getBoundingClientRect().left
    }"""
    page = visitor.page
    assert abs(page.evaluate(left, ["wrods", True]) - page.evaluate(left, ["^", False])) < 1


def test_sql_is_typed_completed_and_run_by_the_keyboard(visitor: Visitor, place: str) -> None:
    page = visitor.page
    visitor.go(f"{place}/sql")
    page.get_by_label("SQL", exact=True).click()
    page.keyboard.type("SELECT count(*) AS n FROM docum")
    page.get_by_role("option", name="documents").first.wait_for()
    page.wait_for_timeout(200)  # the editor takes no key for a choice that was shown less than 75 ms ago
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/sql?q=*")
    page.get_by_role("region", name="Rows").wait_for()
    assert page.get_by_role("cell").all_inner_texts() == ["12"]


def test_a_sentence_that_an_address_names_is_in_sight(visitor: Visitor, place: str) -> None:
    visitor.go(f"{place}/document?id=money&s=2")
    assert visitor.page.locator(".here").inner_text().startswith("His account is closed now.")
    box = visitor.page.locator(".here").bounding_box()
    assert 0 <= box["y"] < 900


@pytest.mark.parametrize(
    "text", ["one two three four " * 9, "אחת שתיים שלוש ארבע " * 9], ids=["from the left", "from the right"]
)
def test_a_long_line_of_a_concordance_is_cut_far_from_its_keyword(visitor: Visitor, place: str, text: str) -> None:
    visitor.go(f"{place}/word?w=bank")
    shown = visitor.page.evaluate(_FILLED, text.strip())
    assert shown == {"before": {"first": False, "last": True}, "after": {"first": True, "last": False}}


_FILLED = """text => {
  const shown = (name) => {
    const cell = document.querySelector(`.kwic td.${name}`), line = cell.querySelector("bdi")
    line.textContent = text
    const outer = cell.getBoundingClientRect(), letter = document.createRange()
    const seen = (place) => {
      letter.setStart(line.firstChild, place)
      letter.setEnd(line.firstChild, place + 1)
      const box = letter.getBoundingClientRect()
      return box.left >= outer.left && box.right <= outer.right
    }
    return {first: seen(0), last: seen(text.length - 1)}
  }
  return {before: shown("before"), after: shown("after")}
}"""
"""Fill both sides of the first line, and return whether their first and last letters are seen."""


def test_a_report_draws_its_pictures_without_a_server(visitor: Visitor, live: LiveLake, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "report.html"
    path.write_text(report(live, title="Banks", words=["bank"]), "utf-8")
    visitor.go(path.as_uri())
    assert visitor.complaints == []
    assert visitor.page.locator("figure .drawn > svg").count() >= 3


def test_pictures_of_results_are_drawn_without_a_server(visitor: Visitor, tmp_path) -> None:  # type: ignore[no-untyped-def]
    order_alone = coherence(margin=None)
    for name, picture in enumerate((senses(), coherence(), order_alone, shares(), losses())):
        path = tmp_path / f"{name}.html"
        write_picture(picture, path)
        visitor.go(path.as_uri())
        assert visitor.page.locator("figure .drawn > svg").count() == len(picture.charts), picture.charts[0].kind
    assert visitor.complaints == []


def test_exported_pages_draw_their_pictures_from_files(
    visitor: Visitor,
    shown_lake: Lake,
    tmp_path,
    capfd: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    from tests.flows.explorer.test_export import exported

    assert exported(capfd, shown_lake, tmp_path / "site", "--page", "/", "--page", "/word?w=bank")[0] == 0
    for path in (tmp_path / "site").glob("*.html"):
        visitor.go(path.as_uri())
        figures = visitor.page.locator("figure.chart").count()
        assert visitor.page.locator("figure .drawn > svg").count() >= min(figures, 1), path.name
    assert visitor.complaints == []
