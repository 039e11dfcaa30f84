"""The pages of the explorer, in the order of its menu."""

from __future__ import annotations

from polyseme.flows.explorer.page import Page
from polyseme.flows.explorer.pages import document, documents, map, overview, rejects, runs, sense, sentence, sql, word

PAGES: dict[str, Page] = {
    module.PAGE.name: module.PAGE
    for module in (overview, documents, document, map, word, sense, sentence, sql, runs, rejects)
}
