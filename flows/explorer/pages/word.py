"""One word: every occurrence in its sentence, how often where, and the senses that it is used in."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters
from polyseme.flows.explorer.pages.facets import keys, path_of

A_PAGE = 50
MOST_GROUPED = 1_000
"""Occurrences that are grouped by sense at once; of a more frequent word only if somebody asks for it."""
_COUNTS = """
SELECT count(*) AS occurrences, count(DISTINCT doc_id) AS documents,
       list_sort(list(DISTINCT word))[:20] AS forms
FROM occurrences($word, by_lemma := $by_lemma)"""
_CONCORDANCE = """
SELECT substr(s.text, 1, o.char_start - s.char_start) AS text_before, o.word,
       substr(s.text, o.char_end - s.char_start + 1) AS text_after, o.title, o.doc_id, o.sentence_index, o.word_index
FROM occurrences($word, by_lemma := $by_lemma) AS o
JOIN sentences AS s ON s.doc_id = o.doc_id AND s.sentence_index = o.sentence_index
ORDER BY {order}, o.doc_id, o.sentence_index, o.word_index LIMIT {limit} OFFSET {offset}"""
_TEXT_COUNTS = """
SELECT count(*) AS occurrences, count(DISTINCT doc_id) AS documents,
       list_sort(list(DISTINCT keyword))[:20] AS forms
FROM kwic($word, width := 1)"""
_TEXT_CONCORDANCE = """
SELECT o.text_before, o.keyword AS word, o.text_after, o.title, o.doc_id, o.sentence_index
FROM kwic($word, width := 90) AS o
ORDER BY {order}, o.doc_id, o.sentence_index, o.char_start LIMIT {limit} OFFSET {offset}"""
"""Where a lake does not keep the word, from the text of its sentences."""
_NEIGHBOURS = "FROM neighbours($word, k := 15, by_lemma := $by_lemma)"
_WORDS = "regexp_extract_all(lower({}), '[\\pL\\pM\\pN]+')"
"""By words and not by marks, as `polyseme kwic` sorts, of as much as is shown; `word_keys` takes a minute for *the*."""
_ORDERS = {
    "document": "lower(coalesce(o.title, o.doc_id))",
    "left": f"list_reverse({_WORDS.format('right(text_before, 90)')})",
    "right": _WORDS.format("left(text_after, 90)"),
}
_SENSES = """
SELECT sense, size, rank, typicality, silhouette, text_before, word, text_after, doc_id, title, sentence_index,
       word_index, x, y
FROM senses($word, by_lemma := $by_lemma)"""
_BY = """
SELECT coalesce(d.metadata->>$path, '(none)') AS value, count(*) AS occurrences, count(DISTINCT d.doc_id) AS documents
FROM occurrences($word, by_lemma := $by_lemma) AS o JOIN documents AS d ON d.doc_id = o.doc_id GROUP BY value"""
_WORDS_BY = """
SELECT coalesce(d.metadata->>$path, '(none)') AS value, sum(w.n)::BIGINT AS words
FROM word_counts(['*'], $by_lemma, false) AS w JOIN documents AS d ON d.doc_id = w.doc_id GROUP BY value"""
"""Those that `polyseme words` counts. Asked apart, because it is the same for every word and takes longer than all else
that is counted."""
_FREQUENCY = pa.schema(
    {"value": pa.string(), "occurrences": pa.int64(), "documents": pa.int64(), "per_million": pa.float64()}
)
_MOST_VALUES = 40
_LONGEST_TOLD = 100


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return what is known of a word. Raises AbsentError if it does not occur."""
    word, by_lemma = parameters.required("w", "word"), parameters.text("lemma") == "1"
    (counts,) = lake.rows(_COUNTS, word=word, by_lemma=by_lemma)
    has_vectors = counts["occurrences"] > 0
    if not has_vectors and not by_lemma:
        (counts,) = lake.rows(_TEXT_COUNTS, word=word)
    if not counts["occurrences"]:
        # A text that somebody pasted is neither compared with all words nor repeated.
        told = lake.why_absent(word, by_lemma=by_lemma) if len(word) <= _LONGEST_TOLD else ""
        raise AbsentError(told or f"{word[:_LONGEST_TOLD]!r} does not occur in the lake.")
    order = parameters.choice("sort", tuple(_ORDERS))
    page = parameters.number("page", 1, least=1)
    part = {"order": _ORDERS[order], **parameters.rows(A_PAGE)}
    tables: dict[str, pa.Table] = {}
    if has_vectors:
        tables["concordance"] = lake.ask(_CONCORDANCE.format(**part), word=word, by_lemma=by_lemma)
    else:
        tables["concordance"] = lake.ask(_TEXT_CONCORDANCE.format(**part), word=word)
    known = keys(lake)
    by = parameters.text("by", known[0] if known else "")
    if by and has_vectors:
        tables["frequency"] = _frequency(lake, by, word=word, by_lemma=by_lemma)
    if has_vectors and parameters.text("near") == "1":
        tables["neighbours"] = lake.ask(_NEIGHBOURS, word=word, by_lemma=by_lemma)
    grouped = has_vectors and (counts["occurrences"] <= MOST_GROUPED or parameters.text("senses") == "all")
    if grouped:
        tables["senses"] = lake.ask(_SENSES, word=word, by_lemma=by_lemma)
    return Content(
        word,
        tables,
        {"word": word, "lemma": by_lemma, "counts": counts, "page": page, "sort": order,
         "orders": tuple(_ORDERS), "pages": -(-counts["occurrences"] // A_PAGE), "keys": known, "by": by,
         "groups": _groups(tables["senses"]) if grouped else [], "has_vectors": has_vectors,
         "most_grouped": MOST_GROUPED},
    )  # fmt: skip


def _frequency(lake: Asked, by: str, *, word: str, by_lemma: bool) -> pa.Table:
    """Return how often a word occurs in the documents with each value of a key, most often for their length first.

    Values whose documents lack the word are there too: that it is absent is a finding.
    """
    words = {row["value"]: row["words"] for row in lake.rows(_WORDS_BY, path=path_of(by), by_lemma=by_lemma)}
    found = {row["value"]: row for row in lake.rows(_BY, path=path_of(by), word=word, by_lemma=by_lemma)}
    absent = {"occurrences": 0, "documents": 0}
    rows = [
        {"value": value, **{name: row[name] for name in absent},
         "per_million": 1e6 * row["occurrences"] / words[value] if value in words else None}
        for value in words.keys() | found.keys() for row in [found.get(value, absent)]
    ]  # fmt: skip
    order = [("per_million", "descending"), ("value", "ascending")]
    return pa.Table.from_pylist(rows, _FREQUENCY).sort_by(order).slice(0, _MOST_VALUES)


def _groups(senses: pa.Table) -> list[dict[str, object]]:
    """Return the senses, each with its three most typical occurrences."""
    rows = senses.to_pylist()
    numbers = sorted({row["sense"] for row in rows})
    return [
        {"sense": number, "size": of[0]["size"], "silhouette": of[0]["silhouette"], "typical": of[:3]}
        for number in numbers
        if (of := [row for row in rows if row["sense"] == number])
    ]


PAGE = Page("word", load)
