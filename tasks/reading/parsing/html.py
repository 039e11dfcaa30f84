"""HTML and XHTML: the text that a reader sees, without what the page itself marks as navigation. No scripts run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from polyseme.tasks.reading.charset import sniff
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, Text, stated

_BESIDE = (
    *("nav", "aside", "footer", "body > header", "[role=navigation]", "[role=banner]", "[role=contentinfo]"),
    *("[role=search]", "[role=complementary]", "[hidden]", "[aria-hidden=true]", "a.headerlink", "svg", "template"),
)
"""Elements that are not the text, by what HTML and ARIA say of them, and the permalinks of Sphinx."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_META = {
    "author": ("author", "article:author", "dc.creator", "dcterms.creator"),
    "date": ("article:published_time", "date", "dc.date", "dcterms.date", "dcterms.created", "pubdate"),
    "description": ("description", "og:description"),
    "keywords": ("keywords",),
}


def parse_html(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a page, with what it states of itself."""
    text, title, metadata = page(data, request.most_bytes)
    yield Parsed(text, title, metadata)


def page(data: bytes | str, most_bytes: int) -> tuple[str, str | None, dict[str, Any]]:
    """Return the text, the title and the metadata of a page. Raises MemoryError for one that takes too much of it."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLParserException, HTMLTree

    try:
        tree = HTMLTree.parse(data if isinstance(data, str) else decoded(data))
    except HTMLParserException as error:
        # Nothing is wrong HTML for a parser of the standard's kind: it fails where it gets no memory.
        raise MemoryError from error
    found = extract_plain_text(tree, alt_texts=False, list_bullets=False, skip_elements=_BESIDE)
    text = Text(most_bytes)
    text.add("\n".join(line.rstrip() for line in found.split("\n")))
    return text.joined(), tree.title or None, _stated(tree)


def decoded(data: bytes, charset: str | None = None) -> str:
    """Return the text of bytes: by their mark, `charset`, what they declare, or what they look like."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if (found := _CHARSET.search(data, 0, 2048)) and not (charset and _known(data, charset)):
        charset = found[1].decode("ascii")
    # What is valid UTF-8 beyond ASCII is hardly ever anything else, whatever is declared.
    for candidate in ("utf-8", charset, sniff(data, complete=True)):
        if candidate and (text := _known(data, candidate)) is not None:
            return text
    return data.decode("cp1252", "replace")


def _known(data: bytes, encoding: str) -> str | None:
    try:
        # Browsers take ISO 8859-1 and ASCII for Windows-1252, as the Encoding Standard has it.
        return data.decode("cp1252" if encoding.lower() in ("iso-8859-1", "latin1", "us-ascii", "ascii") else encoding)
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _stated(tree: Any) -> dict[str, Any]:
    values: dict[str, str] = {}
    for element in tree.document.query_selector_all("meta"):
        name = (element.getattr("name") or element.getattr("property") or "").lower()
        if name and (content := (element.getattr("content") or "").strip()):
            values.setdefault(name, content)
    found = {field: next((values[n] for n in names if n in values), None) for field, names in _META.items()}
    root = tree.document.query_selector("html")
    canonical = tree.document.query_selector("link[rel=canonical]")
    return stated(
        **found, language=root.getattr("lang") if root else None, url=canonical.getattr("href") if canonical else None
    )
