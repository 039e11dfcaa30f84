"""`polyseme report`: one page that shows a lake and loads nothing from the network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import embedded_lakes

VOID = {"meta", "br", "img", "link", "rect", "circle", "line", "polyline"}


class Nesting(HTMLParser):
    """Notes what is not closed in order, and every address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def written(lake: Lake, tmp_path: Path, *more: str) -> str:
    path = tmp_path / "report.html"
    with pytest.raises(SystemExit) as exit_:
        main(["report", "--lake", str(lake.root), "-o", str(path), *more])
    assert exit_.value.code == 0
    return path.read_text("utf-8")


def test_the_page_shows_the_lake_and_fetches_nothing(tmp_path: Path) -> None:
    texts = embedded_lakes.TEXTS | {
        "odd": "<script>alert('x')</script> & the bank. It is odd. A & B. C < D. Ends here. So."
    }
    lake = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents(texts))
    html = written(lake, tmp_path, "--words", "bank,nowhere", "--title", "Banks & <rivers>")
    page = Nesting()
    page.feed(html)
    assert page.open == []
    assert page.addresses == []
    assert not re.search(r"url\(|@import|<script", html)
    assert "Banks &amp; &lt;rivers&gt;" in html
    assert "<b>7</b>documents" in html
    assert "<mark>bank</mark>" in html
    assert "nowhere does not occur" in html
    assert "polyseme-mini" in html
    assert html.count("<svg") == 3


def test_an_empty_lake_has_a_page_too(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        html = written(catalog.lake, tmp_path)
    assert "No transitions were scored with NSP." in html
