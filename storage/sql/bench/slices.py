"""The figures of a slice of the corpus, side by side with those of another: size, coherence, perplexity."""

from __future__ import annotations


def slice_figures_macro(suffix: str) -> str:
    """Return the statement for one row of figures about some documents. What the lake has no scores of is NULL."""
    chosen = "docs = ['*'] OR doc_id IN (SELECT unnest(docs))"
    return f"""
CREATE MACRO "slice_figures{suffix}"(docs := ['*']) AS TABLE
WITH size AS (
    SELECT count(*) AS documents, coalesce(sum(n_sentences), 0)::BIGINT AS sentences
    FROM "documents{suffix}" WHERE {chosen}
), counted AS (
    SELECT coalesce(sum(n), 0)::BIGINT AS words, count(DISTINCT word) AS distinct_words
    FROM "word_counts{suffix}"(docs, false, false)
), steps AS (
    SELECT avg(margin) AS mean_margin, avg(percentile) AS mean_percentile FROM "coherence{suffix}" WHERE {chosen}
), likelihood AS (
    SELECT exp(-sum(pll) / nullif(sum(n_tokens), 0)) AS perplexity FROM "perplexity{suffix}" WHERE {chosen}
)
FROM size, counted, steps, likelihood"""
