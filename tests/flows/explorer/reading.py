"""A page read as a browser reads it: what is nested in what, where its links lead, and what would run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "br", "img", "link", "input", "rect", "circle", "line", "polyline", "path"}


class Reading(HTMLParser):
    """Reads HTML and keeps what tests ask about. `stray` are tags that were closed in another order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.stray: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[dict[str, str | None]] = []
        self.shown: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.attributes |= given.keys()
        if tag == "a":
            self.links.append(given["href"] or "")
        if tag == "script":
            self.scripts.append(given)
        if tag in ("script", "link", "img") and (place := given.get("src") or given.get("href")):
            self.loaded.append(place)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.stray.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.shown.append(data)


def charts(html: str) -> list[list[dict[str, Any]]]:
    """Return the rows of each chart of a page, in order."""
    return [json.loads(rows) for rows in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)]


def assert_harmless(html: str) -> Reading:
    """Fail if the page would run, load or obey anything that is not the explorer's own."""
    page = Reading(html)
    assert page.open == []
    assert page.stray == []
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    for script in page.scripts:
        assert script.get("type") == "application/json" or (script["src"] or "").startswith("/static/")
    assert all(place.startswith("/static/") for place in page.loaded)
    assert not any("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" for character in html)
    return page
