"""Pages of the explorer as files that need no server: those that are named, and what they link to.

Each page is an HTML file beside its data as JSON and CSV, in one folder with the styles and scripts; links between
pages that were not written are plain text.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from polyseme.flows.explorer.page import AbsentError, Asked, Parameters
from polyseme.flows.explorer.pages.all_pages import PAGES
from polyseme.flows.explorer.pages.facets import keys
from polyseme.flows.explorer.rendering import STATIC, Site, render_page
from polyseme.flows.explorer.twins import as_csv, as_json
from polyseme.storage.errors import UsageError

Address: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a page, and its parameters."""

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_LIVE_ONLY = ("sql", "map")
"""Pages that are nothing without a server."""


def address_of(text: str) -> Address:
    """Return the page that `text` names as the server does: `/word?w=bank`. Raises UsageError if there is none."""
    parts = urlsplit(text if text.startswith("/") else f"/{text}")
    name = parts.path.strip("/") or "overview"
    if name not in PAGES or name in _LIVE_ONLY:
        known = ", ".join(f"/{page}" for page in PAGES if page not in _LIVE_ONLY)
        raise UsageError(f"{text!r} is no page that can be exported. There are {known}; /word?w=bank is one of a word.")
    return name, tuple(parse_qsl(parts.query))


def default_pages(lake: Asked) -> list[str]:
    """Return the pages to export if none is named, those that lead to few before the lists of all documents.

    Without a form, a page of comparisons is nothing unless it leads to some.
    """
    keyed = bool(keys(lake))
    compared = keyed or lake.rows("SELECT count(*) > 1 AS several FROM encodings")[0]["several"]
    return ["/", *["/drift"] * keyed, *["/compare"] * compared, "/documents", "/runs", "/rejects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is exported: pages up to `depth` links away from those that were named, and no more than `most`."""

    depth: int = 1
    most: int = 500

    def __post_init__(self) -> None:
        if self.depth < 0 or self.most < 1:
            raise UsageError(f"--depth must be at least 0 and --most at least 1, got {self.depth} and {self.most}.")


Progress: TypeAlias = Callable[[int, int], None]
"""Takes the steps that are done, and how many are known so far."""


def export(
    lake: Asked, folder: Path, wanted: Sequence[Address], *, title: str, extent: Extent, progress: Progress
) -> tuple[int, int]:
    """Write pages into a folder, which may not exist, or is empty.

    Returns how many pages were written, and how many more links lead to. Raises UsageError for a folder with something
    in it, AbsentError for a wanted page that the lake does not have.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty. Name a folder that does not exist yet, or empty it.")
        found = _reached(lake, wanted, extent, progress)
        names = {address: _name(*address) for address in found[: extent.most]}
        shutil.copytree(STATIC, folder / "static")
        for done, address in enumerate(names, 1):
            _write(lake, folder, address, title, names)
            progress(len(names) + done, 2 * len(names))
    except OSError as error:
        raise UsageError(f"Cannot write to {folder} ({error.strerror}). Name another folder.") from error
    return len(names), len(found) - len(names)


def _reached(lake: Asked, wanted: Sequence[Address], extent: Extent, progress: Progress) -> list[Address]:
    """Return the pages that are near enough, in the order in which links lead to them."""
    steps = dict.fromkeys(wanted, 0)
    queue = list(steps)
    # The menu of every page leads to them.
    empty = {(name, ()) for name in ("drift", "compare")} - {address_of(page) for page in default_pages(lake)}
    for done, address in enumerate(queue):
        if done == extent.most:
            break
        for found in _links(lake, address, required=address in wanted):
            # The next page of a list is as near as the list.
            away = steps[address] + (0 if _without_page(found) == _without_page(address) else 1)
            if away <= extent.depth and found not in steps and found not in empty:
                steps[found] = away
                queue.append(found)
        progress(done + 1, 2 * min(len(queue), extent.most))
    return queue


def _links(lake: Asked, address: Address, *, required: bool) -> list[Address]:
    """Return the pages that a page links to."""
    found: dict[Address, None] = {}

    def link(name: str, /, **parameters: object) -> str:
        if name in PAGES and name not in _LIVE_ONLY:
            found[_address(name, parameters)] = None
        return "#"

    try:
        _rendered(lake, address, Site("", link, "static/", live=False), {})
    except AbsentError:
        if required:
            raise
    return list(found)


def _write(lake: Asked, folder: Path, address: Address, title: str, names: Mapping[Address, str]) -> None:
    def link(to: str, /, **parameters: object) -> str:
        return f"{names[found]}.html" if (found := _address(to, parameters)) in names else ""

    name, parameters = names[address], Parameters(address[1])
    content = PAGES[address[0]].load(lake, parameters)
    twins = {"json": f"{name}.json", "csv": f"{name}.csv"}
    html = _rendered(lake, address, Site(title, link, "static/", live=False), twins)
    (folder / f"{name}.html").write_text(html, "utf-8")
    (folder / f"{name}.json").write_bytes(as_json(content, parameters))
    (folder / f"{name}.csv").write_bytes(as_csv(content, parameters))


def _rendered(lake: Asked, address: Address, site: Site, twins: dict[str, str]) -> str:
    page, parameters = PAGES[address[0]], Parameters(address[1])
    return render_page(page, page.load(lake, parameters), site, parameters, twins)


def _address(name: str, parameters: dict[str, object]) -> Address:
    given = ((key, str(value)) for key, value in parameters.items() if value not in (None, "", False))
    # Where a document is opened is a matter of the browser.
    return name, tuple(sorted((key, value) for key, value in given if key != "s" and (key, value) != ("page", "1")))


def _without_page(address: Address) -> Address:
    return address[0], tuple(pair for pair in address[1] if pair[0] != "page")


def _name(page: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """Return a file name without its ending: readable, and another for each page on every file system."""
    if not parameters:
        return "index" if page == "overview" else page
    readable = _NOT_IN_NAMES.sub("-", " ".join(value for _, value in parameters).lower()).strip("-")[:60]
    return "-".join(filter(None, (page, readable, hashlib.sha256(urlencode(parameters).encode()).hexdigest()[:8])))
