"""Frequency lists with dispersion, and keywords: the words that one slice of the corpus has more of than another.

Dispersion is DPnorm (Gries 2008, "Dispersions and adjusted frequencies in corpora"; normalised as by Lijffijt & Gries
2012), with documents as the parts: 0 is spread as the documents are long, near 1 is in one document. Keyness is the
log-likelihood ratio G2 of the table of four cells (Dunning 1993) for significance, and the log ratio (Hardie 2014) for
size. Words are counted that have a letter; so are those that the whole is made of.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.word_lookup import WORD, form_of, key_of_form, quick_key

CRITICAL = 15.13
"""What G2 exceeds by chance in one of 10,000 words (chi-squared, one degree of freedom)."""


def word_counts_macro(suffix: str, *, every_word: bool, has_older: bool) -> str:
    """Return the statement for how often each document has each word, or lemma: `doc_id`, `word`, `n`.

    From the words that the lake holds, or from the text if they are not all; lemmas always from the words.
    """
    form = key_of_form(form_of("w")) if has_older else form_of("w")
    stored = f"""
    SELECT w.doc_id, {form} AS word, count(*) AS n FROM "words{suffix}" AS w
    WHERE {"true" if every_word else "by_lemma"} GROUP BY ALL"""
    keys = f"list_transform(regexp_extract_all(s.text, {quote(WORD)}), lambda one: {quick_key('one')})"
    in_text = f"""
    UNION ALL
    SELECT doc_id, word, count(*) AS n FROM (
        SELECT s.doc_id, unnest({keys}) AS word
        FROM "sentences{suffix}" AS s WHERE NOT by_lemma
    ) GROUP BY ALL"""
    return f"""
CREATE MACRO "word_counts{suffix}"(docs, by_lemma, punctuation) AS TABLE
SELECT counted.doc_id, counted.word, sum(counted.n)::BIGINT AS n
FROM ({stored}{"" if every_word else in_text}
) AS counted
WHERE (docs = ['*'] OR counted.doc_id IN (SELECT unnest(docs)))
    AND counted.word IS NOT NULL AND (punctuation OR regexp_matches(counted.word, '\\pL'))
GROUP BY ALL"""


def word_frequencies_macro(suffix: str) -> str:
    """Return the statement for the frequency list, the most frequent first."""
    return f"""
CREATE MACRO "word_frequencies{suffix}"(docs := ['*'], at_least := 1, by_lemma := false, punctuation := false) AS TABLE
WITH counted AS (
    FROM "word_counts{suffix}"(docs, by_lemma, punctuation)
), part AS (
    SELECT doc_id, sum(n) / sum(sum(n)) OVER () AS share, sum(sum(n)) OVER () AS whole FROM counted GROUP BY doc_id
), placed AS (
    SELECT counted.word, counted.n, part.share, part.whole, min(part.share) OVER () AS least,
           sum(counted.n) OVER (PARTITION BY counted.word) AS frequency
    FROM counted JOIN part ON part.doc_id = counted.doc_id
)
SELECT
    word, any_value(frequency)::BIGINT AS occurrences, count(*) AS documents,
    1e6 * any_value(frequency) / any_value(whole) AS per_million,
    -- Documents without the word add their share, which is what all others leave of 1.
    greatest((1 + sum(abs(n / frequency - share) - share)) / 2, 0) / nullif(1 - any_value(least), 0) AS dispersion
FROM placed WHERE frequency >= at_least
GROUP BY word
ORDER BY occurrences DESC, word"""


def keywords_macro(suffix: str) -> str:
    """Return the statement for the words of two lists of documents with how much more of each the first has.

    A word that one side lacks is counted as half an occurrence in the log ratio, as Hardie has it.
    """
    terms = []
    for observed in ("a", "b", "c - a", "d - b"):
        row = "a + b" if observed in ("a", "b") else "c + d - a - b"
        column = "c" if "a" in observed else "d"
        expected = f"(({row})::DOUBLE * {column} / (c + d))"
        terms.append(f"CASE WHEN {observed} > 0 THEN ({observed}) * ln(({observed}) / {expected}) ELSE 0 END")
    return f"""
CREATE MACRO "keywords{suffix}"(docs, other_docs, at_least := 1, by_lemma := false, punctuation := false) AS TABLE
WITH here AS (
    SELECT word, sum(n) AS n FROM "word_counts{suffix}"(docs, by_lemma, punctuation) GROUP BY word
), there AS (
    SELECT word, sum(n) AS n FROM "word_counts{suffix}"(other_docs, by_lemma, punctuation) GROUP BY word
), counted AS (
    SELECT coalesce(here.word, there.word) AS word, coalesce(here.n, 0)::BIGINT AS a, coalesce(there.n, 0)::BIGINT AS b
    FROM here FULL JOIN there ON there.word = here.word
), sized AS (
    SELECT *, (SELECT sum(n) FROM here)::BIGINT AS c, (SELECT sum(n) FROM there)::BIGINT AS d FROM counted
)
SELECT
    word, a AS occurrences, b AS other_occurrences, 1e6 * a / c AS per_million, 1e6 * b / d AS other_per_million,
    greatest(2 * ({" + ".join(terms)}), 0) AS log_likelihood,
    log2((greatest(a, 0.5) / c) / (greatest(b, 0.5) / d)) AS log_ratio
FROM sized WHERE a + b >= at_least AND c > 0 AND d > 0
ORDER BY log_likelihood DESC, word"""
