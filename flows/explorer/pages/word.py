"""One word: every occurrence in its sentence, how often where, and the senses that it is used in."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters

A_PAGE = 50
MOST_GROUPED = 20_000
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
_ORDERS = {
    "document": "lower(coalesce(o.title, o.doc_id))",
    "left": "list_reverse(string_split(trim(lower(text_before)), ' '))",
    "right": "trim(lower(text_after))",
}
_SENSES = """
SELECT sense, size, rank, typicality, silhouette, text_before, word, text_after, doc_id, title, sentence_index,
       word_index, x, y
FROM senses($word, by_lemma := $by_lemma)"""
_BY = """
SELECT coalesce(d.metadata->>$path, '(none)') AS value, count(*) AS occurrences, count(DISTINCT d.doc_id) AS documents,
       1e6 * count(*) / any_value(t.words) AS per_million
FROM occurrences($word, by_lemma := $by_lemma) AS o JOIN documents AS d ON d.doc_id = o.doc_id
JOIN (
    SELECT coalesce(metadata->>$path, '(none)') AS value, count(*) AS words
    FROM words AS w JOIN documents AS d ON d.doc_id = w.doc_id GROUP BY value
) AS t ON t.value = coalesce(d.metadata->>$path, '(none)')
GROUP BY ALL ORDER BY per_million DESC, value LIMIT 40"""
_KEYS = """
WITH key AS (SELECT unnest(json_keys(metadata)) AS key, metadata FROM documents WHERE metadata IS NOT NULL)
SELECT key FROM key WHERE NOT contains(key, '"')
GROUP BY key HAVING count(DISTINCT metadata->>('$."' || key || '"')) BETWEEN 2 AND 200 ORDER BY count(*) DESC, key"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return what is known of a word. Raises AbsentError if it does not occur."""
    word, by_lemma = parameters.required("w", "word"), parameters.text("lemma") == "1"
    (counts,) = lake.rows(_COUNTS, word=word, by_lemma=by_lemma)
    if not counts["occurrences"]:
        raise AbsentError(
            f"{word[:100]!r} does not occur in the lake, or was not kept: see the words it was made with."
        )
    order = parameters.choice("sort", tuple(_ORDERS))
    page = parameters.number("page", 1, least=1)
    concordance = _CONCORDANCE.format(order=_ORDERS[order], limit=A_PAGE, offset=A_PAGE * (page - 1))
    tables: dict[str, pa.Table] = {"concordance": lake.ask(concordance, word=word, by_lemma=by_lemma)}
    keys = [row["key"] for row in lake.rows(_KEYS)]
    by = parameters.text("by", keys[0] if keys else "")
    if by:
        tables["frequency"] = lake.ask(_BY, path=f'$."{by}"', word=word, by_lemma=by_lemma)
    grouped = counts["occurrences"] <= MOST_GROUPED or parameters.text("senses") == "all"
    if grouped:
        tables["senses"] = lake.ask(_SENSES, word=word, by_lemma=by_lemma)
    return Content(
        word,
        tables,
        {"word": word, "lemma": by_lemma, "counts": counts, "page": page, "sort": order,
         "orders": tuple(_ORDERS), "pages": -(-counts["occurrences"] // A_PAGE), "keys": keys, "by": by,
         "groups": _groups(tables["senses"]) if grouped else [], "grouped": grouped, "most_grouped": MOST_GROUPED},
    )  # fmt: skip


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
