"""The documents of the lake: searched by title, filtered by metadata and by a condition, fifty at a time."""

from __future__ import annotations

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters
from polyseme.flows.explorer.pages.facets import chosen, facets

A_PAGE = 50
_ORDERS = {
    "title": "lower(coalesce(d.title, d.doc_id)), d.doc_id",
    "longest": "d.n_tokens DESC, d.doc_id",
    "newest": "d.ingested_at DESC, d.doc_id",
    "least-coherent": "c.mean_margin NULLS LAST, d.doc_id",
}
_CHOSEN = """
SELECT d.doc_id, d.title, d.uri, d.language, d.n_sentences, d.n_tokens, d.metadata, d.ingested_at, c.mean_margin
FROM {documents} AS d LEFT JOIN (
    SELECT doc_id, avg(margin) AS mean_margin FROM coherence GROUP BY doc_id
) AS c ON c.doc_id = d.doc_id
WHERE (contains(lower(coalesce(d.title, '')), lower($q)) OR contains(lower(d.doc_id), lower($q)))
  AND {narrowed}"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return one page of the documents that are asked for, and the facets that they can be narrowed by."""
    where = parameters.text("where")
    values = parameters.starting("m.")
    order = parameters.choice("sort", tuple(_ORDERS))
    page, rows = parameters.number("page", 1, least=1), parameters.rows(A_PAGE)
    narrowed, named = chosen(values)
    found_in = _CHOSEN.format(documents="chosen_documents" if where else "documents", narrowed=narrowed)
    asked = {"q": parameters.text("q"), **named}
    (counted,) = lake.rows(f"SELECT count(*) AS documents FROM ({found_in})", where=where, **asked)
    found = lake.ask(
        f"{found_in} ORDER BY {_ORDERS[order]} LIMIT {rows['limit']} OFFSET {rows['offset']}", where=where, **asked
    )
    return Content(
        "Documents",
        {"documents": found},
        {"total": counted["documents"], "page": page, "pages": -(-counted["documents"] // A_PAGE),
         "facets": facets(lake), "chosen": values, "q": parameters.text("q"), "where": where, "sort": order,
         "orders": tuple(_ORDERS)},
    )  # fmt: skip


PAGE = Page("documents", load, "Documents")
