"""Ranking sentences by the words that they share with a query: BM25.

As Lucene has it (Robertson & Zaragoza 2009; the variant "lucene" of Kamphuis et al. 2020 and of the package bm25s): the
weight of a word is never below 0, and its frequency saturates. Documents of the formula are sentences, words are those
with a letter or a digit; how rare a word is and how long a sentence is on average are those of the whole lake.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.word_lookup import WORD, key_of_form, quick_key

READABLE = "[\\pL\\pN]"


def bm25_macro(suffix: str, *, every_word: bool, has_older: bool) -> str:
    """Return the statement for `bm25`, the best first. A word that is twice in the query counts twice."""
    key = key_of_form("w.word_lower") if has_older else "w.word_lower"
    counted = f"""
    SELECT w.doc_id, w.sentence_index, {key} AS key, count(*) AS n
    FROM "words{suffix}" AS w WHERE {key} IN (SELECT key FROM asked) GROUP BY ALL"""
    lengths = f"""
    SELECT w.doc_id, w.sentence_index, count(*) AS n FROM "words{suffix}" AS w
    WHERE regexp_matches(w.word_lower, '{READABLE}') GROUP BY ALL"""
    keyed = ""
    if not every_word:
        keys = f"list_transform(regexp_extract_all(s.text, {quote(WORD)}), lambda one: {quick_key('one')})"
        keyed = f"""keyed AS (
    SELECT s.doc_id, s.sentence_index, list_filter({keys}, lambda one: regexp_matches(one, '{READABLE}')) AS found
    FROM "sentences{suffix}" AS s
), """
        counted = """
    SELECT keyed.doc_id, keyed.sentence_index, asked.key,
           len(list_filter(keyed.found, lambda one: one = asked.key)) AS n
    FROM keyed JOIN asked ON list_contains(keyed.found, asked.key)"""
        lengths = """
    SELECT doc_id, sentence_index, len(found) AS n FROM keyed WHERE len(found) > 0"""
    return f"""
CREATE MACRO "bm25{suffix}"(query, k := 10, docs := ['*'], k1 := 1.5, b := 0.75) AS TABLE
WITH asked AS (
    SELECT key, count(*) AS times FROM (SELECT unnest(word_keys(query)) AS key)
    WHERE regexp_matches(key, '{READABLE}') GROUP BY key
), {keyed}counted AS ({counted}
), lengths AS ({lengths}
), lake AS (
    SELECT (SELECT count(*) FROM "sentences{suffix}") AS sentences, (SELECT sum(n) FROM lengths) AS words
), weight AS (
    SELECT counted.key, asked.times * ln(1 + (any_value(lake.sentences) - count(*) + 0.5) / (count(*) + 0.5)) AS idf
    FROM counted JOIN asked ON asked.key = counted.key, lake GROUP BY counted.key, asked.times
), scored AS (
    SELECT counted.doc_id, counted.sentence_index,
           sum(weight.idf * counted.n / (counted.n + k1 * (1 - b + b * lengths.n * lake.sentences / lake.words)))
               AS score
    FROM counted
    JOIN weight ON weight.key = counted.key
    JOIN lengths ON lengths.doc_id = counted.doc_id AND lengths.sentence_index = counted.sentence_index, lake
    WHERE docs = ['*'] OR counted.doc_id IN (SELECT unnest(docs))
    GROUP BY counted.doc_id, counted.sentence_index
    QUALIFY row_number() OVER (ORDER BY score DESC, counted.doc_id, counted.sentence_index) <= k
)
SELECT scored.score, scored.doc_id, d.title, scored.sentence_index, s.text
FROM scored
JOIN "sentences{suffix}" AS s ON s.doc_id = scored.doc_id AND s.sentence_index = scored.sentence_index
JOIN "documents{suffix}" AS d ON d.doc_id = scored.doc_id
ORDER BY scored.score DESC, scored.doc_id, scored.sentence_index"""
