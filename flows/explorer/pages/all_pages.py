"""The pages of the explorer, in the order of its menu."""

from __future__ import annotations

from polyseme.flows.explorer.page import Page
from polyseme.flows.explorer.pages import (
    compare,
    document,
    documents,
    drift,
    map,
    overview,
    rejects,
    runs,
    sense,
    sentence,
    sql,
    word,
)

_MODULES = (overview, documents, document, map, word, sense, drift, sentence, compare, sql, runs, rejects)
PAGES: dict[str, Page] = {module.PAGE.name: module.PAGE for module in _MODULES}
