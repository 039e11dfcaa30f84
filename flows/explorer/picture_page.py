"""A page of charts that needs nothing else: neither a server nor a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polyseme.flows.explorer.page import Content
from polyseme.flows.explorer.rendering import Site, render

_SITE = Site("Polyseme", lambda name, **parameters: "", None, live=False)


def picture_page(title: str, charts: Sequence[tuple[str, str, Sequence[Mapping[str, object]]]]) -> str:
    """Return the page. A chart is its kind in `charts.js`, its title and its rows."""
    return render("picture", _SITE, here=None, menu={}, content=Content(title, {}), given={}, charts=charts)
