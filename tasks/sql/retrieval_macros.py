"""Table macros that search by words and by meaning together, as SQL. `suffix` names the encoding as in `macros`."""

from __future__ import annotations

from polyseme.storage.sql.literals import escaped, quote

_FUSION = 60
"""What Cormack, Clarke and Buettcher (2009) add to a rank, so that the first few do not decide alone."""


_NOT_EVERY_WORD = (
    "maxsim compares all words of a sentence, and the lake does not keep the vectors of all words of all documents. "
    "Encode them: polyseme backfill --level words. Without them: FROM hybrid(…)."
)


def retrieval_macros(suffix: str, *, every_word: bool) -> list[str]:
    """Return the CREATE statements for a connection that has `nearest`, `bm25` and `embed_word` with this suffix.

    `every_word` says whether the encoding holds all words of all documents.
    """
    suffix = escaped(suffix)
    return [_hybrid(suffix), _maxsim(suffix) if every_word else _refused(suffix), _neighbours(suffix)]


def _hybrid(suffix: str) -> str:
    """The sentences that `nearest` and `bm25` find, by reciprocal rank fusion of `candidates` of each."""
    return f"""
CREATE MACRO "hybrid{suffix}"(query, k := 10, docs := ['*'], candidates := 100) AS TABLE
WITH by_vector AS (
    SELECT *, row_number() OVER (ORDER BY similarity DESC, doc_id, sentence_index) AS rank
    FROM "nearest{suffix}"(query, k := greatest(candidates, k), docs := docs)
), by_text AS (
    SELECT *, row_number() OVER (ORDER BY score DESC, doc_id, sentence_index) AS rank
    FROM "bm25{suffix}"(query, k := greatest(candidates, k), docs := docs)
)
SELECT coalesce(1 / ({_FUSION} + v.rank), 0) + coalesce(1 / ({_FUSION} + t.rank), 0) AS score,
       coalesce(v.doc_id, t.doc_id) AS doc_id, coalesce(v.title, t.title) AS title,
       coalesce(v.sentence_index, t.sentence_index) AS sentence_index, coalesce(v.text, t.text) AS text,
       v.rank AS vector_rank, t.rank AS text_rank
FROM by_vector AS v
FULL JOIN by_text AS t ON t.doc_id = v.doc_id AND t.sentence_index = v.sentence_index
QUALIFY row_number() OVER (ORDER BY score DESC, vector_rank, text_rank) <= k
ORDER BY score DESC, vector_rank, text_rank"""


def _maxsim(suffix: str) -> str:
    """Late interaction (Khattab & Zaharia 2020) over word vectors, for the sentences that `nearest` and `bm25` find.

    For each word of the query the cosine of the most similar word of the sentence, summed.
    """
    readable = "'[\\pL\\pN]'"
    return f"""
CREATE MACRO "maxsim{suffix}"(query, k := 10, docs := ['*'], candidates := 100) AS TABLE
WITH likely AS (
    SELECT doc_id, sentence_index FROM "nearest{suffix}"(query, k := candidates, docs := docs)
    UNION
    SELECT doc_id, sentence_index FROM "bm25{suffix}"(query, k := candidates, docs := docs)
), asked AS (
    SELECT key, "embed_word{suffix}"(query, key) AS vector
    FROM (SELECT DISTINCT unnest(word_keys(query)) AS key) WHERE regexp_matches(key, {readable})
), best AS (
    SELECT w.doc_id, w.sentence_index, asked.key,
           max(array_cosine_similarity(w.embedding, asked.vector)::DOUBLE) AS similarity
    FROM "words{suffix}" AS w
    JOIN likely ON likely.doc_id = w.doc_id AND likely.sentence_index = w.sentence_index, asked
    WHERE regexp_matches(w.word_lower, {readable})
    GROUP BY ALL
)
SELECT sum(best.similarity) AS score, best.doc_id, any_value(d.title) AS title, best.sentence_index,
       any_value(s.text) AS text
FROM best
JOIN "sentences{suffix}" AS s ON s.doc_id = best.doc_id AND s.sentence_index = best.sentence_index
JOIN "documents{suffix}" AS d ON d.doc_id = best.doc_id
GROUP BY best.doc_id, best.sentence_index
QUALIFY row_number() OVER (ORDER BY score DESC, best.doc_id, best.sentence_index) <= k
ORDER BY score DESC, best.doc_id, best.sentence_index"""


def _refused(suffix: str) -> str:
    """`maxsim` where not every word is kept: a sentence would be ranked by the few that are, or not found at all."""
    # In the only condition on the only row, which no plan leaves out.
    return f"""
CREATE MACRO "maxsim{suffix}"(query, k := 10, docs := ['*'], candidates := 100) AS TABLE
SELECT NULL::DOUBLE AS score, NULL::VARCHAR AS doc_id, NULL::VARCHAR AS title, NULL::INTEGER AS sentence_index,
       NULL::VARCHAR AS text
FROM (SELECT 1) WHERE error({quote(_NOT_EVERY_WORD)}) IS NULL"""


def _neighbours(suffix: str) -> str:
    """The words whose mean vector is nearest to that of a word, or of one of its senses."""
    return f"""
CREATE MACRO "neighbours{suffix}"(word, sense := NULL, k := 10, at_least := 5, by_lemma := false) AS TABLE
WITH used AS (
    SELECT o.embedding FROM "occurrences{suffix}"(word, by_lemma := by_lemma) AS o WHERE sense IS NULL
    UNION ALL
    SELECT o.embedding
    FROM "occurrences{suffix}"(word, by_lemma := by_lemma) AS o
    JOIN "senses{suffix}"(word, by_lemma := by_lemma) AS found
        ON found.doc_id = o.doc_id AND found.sentence_index = o.sentence_index AND found.word_index = o.word_index
    WHERE sense IS NOT NULL AND found.sense = sense
), centre AS (
    SELECT "mean_vector{suffix}"(list(embedding)) AS vector FROM used
)
SELECT unnest("nearest_words{suffix}"(vector, k, at_least, by_lemma, list_append(word_keys(word), word_key(word))),
              recursive := true)
FROM centre"""
