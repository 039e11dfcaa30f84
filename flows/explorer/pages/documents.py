"""The documents of the lake: searched by title, filtered by metadata and by a condition, fifty at a time."""

from __future__ import annotations

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters

A_PAGE = 50
_MOST_VALUES = 12
"""Values of a facet that are shown; a key of the metadata with more than `_MOST_KINDS` of them is none."""
_MOST_KINDS = 60
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
  AND list_bool_and([true, {facets}])"""
_KEYS = """
WITH key AS (SELECT unnest(json_keys(metadata)) AS key, metadata FROM documents WHERE metadata IS NOT NULL)
SELECT key, count(DISTINCT metadata->>('$."' || key || '"')) AS kinds, count(*) AS documents FROM key
WHERE NOT contains(key, '"') GROUP BY key HAVING kinds BETWEEN 2 AND {most} ORDER BY documents DESC, key LIMIT 6"""
_VALUES = """
SELECT $key AS key, metadata->>('$."' || $key || '"') AS value, count(*) AS documents FROM documents
GROUP BY value HAVING value IS NOT NULL ORDER BY documents DESC, value LIMIT {most}"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return one page of the documents that are asked for, and the facets that they can be narrowed by."""
    where = parameters.text("where")
    facets = parameters.starting("m.")
    order = parameters.choice("sort", tuple(_ORDERS))
    page = parameters.number("page", 1, least=1)
    named = {f"value_{i}": value for i, value in enumerate(facets.values())}
    named |= {f"key_{i}": f'$."{key}"' for i, key in enumerate(facets)}
    meets = ", ".join(f"d.metadata->>$key_{i} = $value_{i}" for i in range(len(facets)))
    chosen = _CHOSEN.format(documents="chosen_documents" if where else "documents", facets=meets)
    asked = {"q": parameters.text("q"), **named}
    (counted,) = lake.rows(f"SELECT count(*) AS documents FROM ({chosen})", where=where, **asked)
    found = lake.ask(
        f"{chosen} ORDER BY {_ORDERS[order]} LIMIT {A_PAGE} OFFSET {A_PAGE * (page - 1)}", where=where, **asked
    )
    keys = [row["key"] for row in lake.rows(_KEYS.format(most=_MOST_KINDS))]
    values = {key: lake.rows(_VALUES.format(most=_MOST_VALUES), key=key) for key in keys}
    return Content(
        "Documents",
        {"documents": found},
        {"total": counted["documents"], "page": page, "pages": -(-counted["documents"] // A_PAGE), "facets": values,
         "chosen": facets, "q": parameters.text("q"), "where": where, "sort": order, "orders": tuple(_ORDERS)},
    )  # fmt: skip


PAGE = Page("documents", load, "Documents")
