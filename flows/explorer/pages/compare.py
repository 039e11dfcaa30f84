"""Two slices of the corpus, or two encodings of it, side by side: figures, and the words that tell slices apart."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters
from polyseme.flows.explorer.pages.facets import facets, path_of
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.bench.frequencies import CRITICAL
from polyseme.storage.sql.literals import quote
from polyseme.tasks.sql.encoding_agreement import agreement

_SAMPLE = 500
_MOST_KEYS, _MOST_OTHERS = 3, 3
"""Comparisons that the page leads to before one is asked for: of keys of the metadata, and of encodings."""
_IDS = "SELECT coalesce(list(doc_id ORDER BY doc_id), []) AS ids FROM chosen_documents"
_FIGURES = "FROM slice_figures(docs := $docs)"
_KEYWORDS = """
SELECT word, occurrences, per_million, other_per_million, log_likelihood, log_ratio
FROM keywords($docs, $other_docs, at_least := 5) AS found WHERE found.log_likelihood >= {critical}
QUALIFY row_number() OVER (
    PARTITION BY found.log_ratio > 0 ORDER BY abs(found.log_ratio) DESC, log_likelihood DESC, word
) <= 20
ORDER BY found.log_ratio DESC, log_likelihood DESC, word"""
_ENCODINGS = """
SELECT name, model, layers, context, precision, store, width FROM encodings ORDER BY is_default DESC, name"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the comparison that is asked for: of conditions `a` and `b`, or of `encoding` and `other`."""
    encodings = lake.rows(_ENCODINGS)
    names = [row["name"] for row in encodings]
    asked = {name: parameters.text(name) for name in ("a", "b", "encoding", "other")}
    more: dict[str, object] = {**asked, "encodings": names, "critical": CRITICAL, "sample": _SAMPLE,
                               "conditions": {}, "others": []}  # fmt: skip
    if asked["encoding"] and asked["other"]:
        absent = [name for name in (asked["encoding"], asked["other"]) if name not in names]
        if absent:
            raise AbsentError(f"The lake has no encoding {absent[0][:100]!r}, but {', '.join(names)}.")
        found = agreement(lake.ask, asked["encoding"], asked["other"], sample=_SAMPLE)
        chosen = [row for name in (asked["encoding"], asked["other"]) for row in encodings if row["name"] == name]
        tables = {"agreement": pa.Table.from_pylist([found]), "encodings": pa.Table.from_pylist(chosen)}
        return Content(f"{asked['encoding']} and {asked['other']}", tables, more)
    if not asked["a"]:
        more |= {"conditions": suggested_conditions(lake), "others": names[1 : _MOST_OTHERS + 1]}
        return Content("Compare", {"encodings": pa.Table.from_pylist(encodings)}, more)
    docs = lake.rows(_IDS, where=asked["a"])[0]["ids"]
    others = lake.rows(_IDS, where=asked["b"] or f"(\n{asked['a']}\n) IS NOT TRUE")[0]["ids"]
    if not docs or not others:
        raise UsageError(f"No document meets the {'second' if docs else 'first'} condition, so there is no slice.")
    figures = pa.concat_tables([lake.ask(_FIGURES, docs=ids) for ids in (docs, others)])
    keywords = lake.ask(_KEYWORDS.format(critical=CRITICAL), docs=docs, other_docs=others)
    return Content("Compare", {"keywords": keywords, "figures": figures}, more)


def suggested_conditions(lake: Asked) -> dict[str, str]:
    """Return a condition on documents for some keys of the metadata, by its name: that of the most frequent value."""
    found = list(facets(lake).items())[:_MOST_KEYS]
    return {
        f"{key}: {values[0]['value']}": f"metadata->>{quote(path_of(key))} = {quote(values[0]['value'])}"
        for key, values in found
    }


PAGE = Page("compare", load, "Compare")
