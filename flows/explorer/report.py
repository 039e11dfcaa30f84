"""The report: one HTML page about a lake that needs nothing else, neither files nor a network.

What the explorer shows of the lake, of its least coherent documents, and of some words, one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Parameters
from polyseme.flows.explorer.pages import document, overview, word
from polyseme.flows.explorer.rendering import Site, render

_CURVES, _WORDS = 3, 4
_POLYSEMY = """
SELECT word, occurrences, documents, distance FROM polysemy(at_least := 8)
WHERE length(word) > 3 AND documents >= 3 LIMIT 12"""


def report(lake: Asked, *, title: str, words: Sequence[str] = ()) -> str:
    """Return the page. The senses of `words` are shown; by default those of the most polysemous ones."""
    whole = overview.PAGE.load(lake, Parameters([]))
    varied = lake.rows(_POLYSEMY)
    chosen = list(words) or [row["word"] for row in varied[:_WORDS]]
    worst = whole.tables["least_coherent"]["doc_id"].to_pylist()[:_CURVES]
    site = Site(title, lambda name, **parameters: "", None, live=False)
    return render(
        "report", site, here=None, menu={}, content=whole, tables=whole.tables, given={}, varied=varied,
        documents=[document.PAGE.load(lake, Parameters([("id", doc_id)])) for doc_id in worst],
        words=[(name, _of_word(lake, name)) for name in chosen],
    )  # fmt: skip


def _of_word(lake: Asked, name: str) -> Content | None:
    try:
        return word.PAGE.load(lake, Parameters([("w", name)]))
    except AbsentError:
        return None
