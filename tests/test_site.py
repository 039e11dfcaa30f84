"""The documentation as a site: it has every page, links and anchors hold, it asks no other host, and all can use it."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests import processes
from tests.extras import require
from tests.flows.explorer.browsing import axe, browser
from tests.repository import ROOT

CONF = ROOT / "docs" / "site"
LOADING = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("link", "href"), ("use", "href")}
"""Attributes that a browser fetches without being asked; a `link` only if it is one of these."""
FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark and narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}
BEYOND = """[...document.querySelectorAll('article p, article li, article code, article img, article pre, article h3')]
    .filter(each => !each.closest('pre, .pst-scrollable-table-container') || each.tagName === 'PRE')
    .concat(document.documentElement.scrollWidth > innerWidth ? [document.body] : [])
    .filter(each => each === document.body || each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 100))"""
"""What is cut off at the right of the screen, and cannot be scrolled to."""
RULES = "{resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}"
BUILD = ("-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet")


class Page(HTMLParser):
    """What a page loads, what it links to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        if tag != "link" or set(said.get("rel", "").split()) & FETCHED_LINKS:
            self.loads += [said[name] for element, name in LOADING if element == tag and name in said]


@cache
def read(path: Path) -> Page:
    return Page(path)


def pages(site: Path) -> list[Path]:
    """Return the pages of a site; among the files of the theme there is a template that nobody opens."""
    return [path for path in site.rglob("*.html") if "_static" not in path.parts]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("sphinx", "docs")
    folder = tmp_path_factory.mktemp("site")
    build(ROOT, folder)
    return folder / "html"


def build(source: Path, folder: Path, *options: str) -> None:
    """Build a site as `make docs` does, from the configuration in the source."""
    where = ("--conf-dir", str(source / "docs" / "site"), "--doctree-dir", str(folder / "doctrees"))
    processes.run(sys.executable, *BUILD, *where, *options, str(source), str(folder / "html"))


def test_every_page_of_docs_has_its_place_in_the_navigation() -> None:
    navigation = runpy.run_path(str(CONF / "conf.py"))["NAVIGATION"]
    pages = [page for group in navigation.values() for page in group]
    assert sorted(page for page in pages if page.startswith("docs/")) == sorted(
        f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")
    )
    assert len(set(pages)) == len(pages)
    assert [page for page in pages if not (ROOT / f"{page}.md").exists()] == []


@pytest.mark.extra
def test_the_site_has_every_page_and_opens_with_the_readme(site: Path) -> None:
    conf = runpy.run_path(str(CONF / "conf.py"))
    names = {page.removesuffix(".md") for page in conf["include_patterns"]}
    assert {path.relative_to(site).with_suffix("").as_posix() for path in pages(site)} >= names | {"index"}
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    linked = {(site / "docs" / link).resolve() for link in read(site / "docs" / "sql.html").links}
    assert {name for name in names if site.resolve() / f"{name}.html" not in linked} == {"docs/sql"}


@pytest.mark.extra
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {url for path in pages(site) for url in read(path).loads}
    assert loaded
    assert [url for url in sorted(loaded) if urlsplit(url).scheme not in ("", "data") or url.startswith("//")] == []
    for style in site.rglob("*.css"):
        urls = re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", style.read_text("utf-8"))
        assert [url for url in urls if re.match(r"(?:https?:)?//", url)] == [], style.name


@pytest.mark.extra
def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path) -> None:
    broken = set()
    for path in pages(site):
        for link in [*read(path).links, *read(path).loads]:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            there = (path.parent / unquote(target.path)).resolve() if target.path else path
            anchor = unquote(target.fragment) if there.suffix == ".html" else ""
            if not there.exists() or (anchor and anchor not in read(there).anchors):
                broken.add((path.name, link))
    assert broken == set()


@pytest.mark.extra
@pytest.mark.parametrize("link", ["docs/nothing.md", "docs/there.md#nothing", "#nothing"])
def test_a_link_that_leads_nowhere_fails_the_build(link: str, tmp_path: Path) -> None:
    require("sphinx", "docs")
    shutil.copytree(CONF, tmp_path / "docs" / "site")
    for page in runpy.run_path(str(CONF / "conf.py"))["include_patterns"]:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("# A page\n", "utf-8")
    build(tmp_path, tmp_path / "good")
    (tmp_path / "README.md").write_text(f"# A page\n\n[there]({link})\n", "utf-8")
    with pytest.raises(Exception, match="nothing"):
        build(tmp_path, tmp_path / "broken")


@pytest.fixture(scope="module", params=LOOKS)
def view(request: pytest.FixtureRequest, site: Path) -> Iterator[Any]:
    """A page of a browser, and what it asks for."""
    with browser() as opened:
        view = opened.new_page(**LOOKS[request.param])
        view.asked = []
        view.on("request", lambda asked: view.asked.append(asked.url))
        yield view


@pytest.mark.extra
def test_no_page_is_wider_than_the_screen_or_asks_another_host(view: Any, site: Path) -> None:
    wide = {}
    for path in pages(site):
        view.goto(path.as_uri())
        wide[path.name] = view.evaluate(BEYOND)
    assert {name: beyond for name, beyond in wide.items() if beyond} == {}
    assert view.asked
    assert [url for url in view.asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.extra
@pytest.mark.parametrize("name", ["index", "docs/api", "docs/configuration", "docs/gallery", "docs/sql", "search"])
def test_a_page_breaks_no_rule_of_accessibility(view: Any, site: Path, name: str) -> None:
    view.goto((site / f"{name}.html").as_uri())
    view.evaluate(axe() + "; window.axe = axe; 0")
    found = view.evaluate(f"axe.run({RULES})")["violations"]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]][:3]) for rule in found] == []


@pytest.mark.extra
def test_the_keyboard_comes_to_the_text_first_and_the_search_finds_without_a_server(view: Any, site: Path) -> None:
    view.goto((site / "docs" / "gallery.html").as_uri())
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.getAttribute('href')") == "#main-content"
    view.goto(f"{(site / 'search.html').as_uri()}?q=concordance")
    view.wait_for_selector("#search-results li a[href*='bench.html']")
