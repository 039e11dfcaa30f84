"""Table macros over the functions of one encoding, as SQL. `suffix` names the encoding, empty for the default."""

from __future__ import annotations

from polyseme.storage.sql.literals import escaped
from polyseme.storage.sql.row_places import with_vectors
from polyseme.storage.sql.word_lookup import form_of, key_of_form
from polyseme.tasks.sql.step_queries import cosine_scale, step_margins


def macros(suffix: str, width: int, *, has_older: bool, placed: bool) -> list[str]:
    """Return the CREATE statements for a connection that has the views and functions with this suffix.

    `has_older` says that some of its words were stored before word keys, `placed` that there are views of places.
    """
    suffix = escaped(suffix)
    return [
        _nearest_to(suffix, width, placed=placed), _nearest(suffix), _nearest_occurrences(suffix, width),
        _fill_mask(suffix), _senses(suffix, placed=placed),
        _polysemy(suffix, has_older=has_older), _drift(suffix), _drift_by(suffix),
        _drift_rank(suffix), _breaks(suffix), _surprisal(suffix), _pll(suffix), _words_of(suffix, placed=placed),
    ]  # fmt: skip


def _nearest_to(suffix: str, width: int, *, placed: bool) -> str:
    """The stored sentences nearest to a vector. `docs` is a list of documents to search, `['*']` for all.

    With `exact` every vector is compared; without, those that an index finds. Their texts are read by place, or joined
    in an object store: a join opens every part, and decodes a row group for each sentence and more.
    """
    texts = f'JOIN "sentences{suffix}" AS s ON s.doc_id = hit.doc_id AND s.sentence_index = hit.sentence_index'
    return f"""
CREATE MACRO "nearest_to{suffix}"(vector, k := 10, docs := ['*'], exact := false) AS TABLE
SELECT hit.similarity, hit.doc_id, d.title, hit.sentence_index, {"hit" if placed else "s"}.text
FROM (SELECT unnest("nearest_rows{suffix}"(vector::FLOAT[{width}], k, docs, exact), recursive := true)) AS hit
{"" if placed else texts}
JOIN "documents{suffix}" AS d ON d.doc_id = hit.doc_id
ORDER BY hit.similarity DESC, hit.doc_id, hit.sentence_index"""


def _nearest(suffix: str) -> str:
    """The stored sentences nearest to a text."""
    return f"""
CREATE MACRO "nearest{suffix}"(text, k := 10, docs := ['*'], exact := false) AS TABLE
FROM "nearest_to{suffix}"("embed{suffix}"(text), k := k, docs := docs, exact := exact)"""


def _nearest_occurrences(suffix: str, width: int) -> str:
    """The occurrences of any word whose vectors are nearest to a vector; otherwise as `nearest_to`."""
    return f"""
CREATE MACRO "nearest_occurrences{suffix}"(vector, k := 10, docs := ['*'], exact := false) AS TABLE
SELECT hit.similarity, hit.word, hit.doc_id, d.title, hit.sentence_index, hit.word_index, hit.char_start, hit.char_end,
       s.text
FROM (
    SELECT unnest("nearest_word_rows{suffix}"(vector::FLOAT[{width}], k, docs, exact), recursive := true)
) AS hit
JOIN "sentences{suffix}" AS s ON s.doc_id = hit.doc_id AND s.sentence_index = hit.sentence_index
JOIN "documents{suffix}" AS d ON d.doc_id = hit.doc_id
ORDER BY hit.similarity DESC, hit.doc_id, hit.sentence_index, hit.word_index"""


def _fill_mask(suffix: str) -> str:
    """The most likely tokens for every mask of a text."""
    return f"""
CREATE MACRO "fill_mask{suffix}"(text, k := 5) AS TABLE
FROM (SELECT unnest("mask_candidates{suffix}"(text, k), recursive := true))
ORDER BY mask, rank"""


def _senses(suffix: str, *, placed: bool) -> str:
    """Every occurrence of a word with its sense, the most typical of each sense first."""
    sentences, context = with_vectors("sentences", "s", suffix, placed=placed)
    return f"""
CREATE MACRO "senses{suffix}"(word, by_lemma := false) AS TABLE
WITH numbered AS (
    SELECT o.*, s.text, s.char_start AS sentence_start, {context} AS context,
           row_number() OVER (ORDER BY o.doc_id, o.sentence_index, o.word_index) AS n
    FROM "occurrences{suffix}"(word, by_lemma := by_lemma) AS o
    JOIN {sentences} AS s ON s.doc_id = o.doc_id AND s.sentence_index = o.sentence_index
), grouped AS (
    SELECT "cluster_senses_in{suffix}"(list(embedding ORDER BY n), list(context ORDER BY n)) AS found FROM numbered
), sense AS (
    SELECT unnest(found, recursive := true), generate_subscripts(found, 1) AS n FROM grouped
)
SELECT
    sense.sense,
    count(*) OVER (PARTITION BY sense.sense) AS size,
    row_number() OVER (PARTITION BY sense.sense ORDER BY sense.typicality DESC, o.n) AS rank,
    sense.typicality,
    sense.silhouette,
    substr(o.text, 1, o.char_start - o.sentence_start) AS text_before,
    o.word,
    substr(o.text, o.char_end - o.sentence_start + 1) AS text_after,
    o.doc_id, o.title, o.sentence_index, o.word_index,
    sense.x, sense.y
FROM numbered AS o
JOIN sense ON sense.n = o.n
ORDER BY sense.sense, rank"""


def _words_of(suffix: str, *, placed: bool) -> str:
    """The words of some sentences, each named by `doc_id || ' ' || sentence_index`, with their vectors."""
    words, vector = with_vectors("words", "w", suffix, placed=placed)
    return f"""
CREATE MACRO "words_of{suffix}"(docs, sentences) AS TABLE
SELECT w.doc_id, w.sentence_index, w.word_index, w.word, {vector} AS embedding FROM {words} AS w
WHERE w.doc_id IN (SELECT unnest(docs)) AND list_contains(sentences, w.doc_id || ' ' || w.sentence_index)"""


def _polysemy(suffix: str, *, has_older: bool) -> str:
    """The words, or lemmas, whose occurrences differ most, without numbers and punctuation."""
    return f"""
CREATE MACRO "polysemy{suffix}"(at_least := 10, by_lemma := false) AS TABLE
WITH form AS (
    SELECT {form_of("w")} AS form, count(*) AS n FROM "words{suffix}" AS w GROUP BY ALL
), counted AS (
    SELECT form, {key_of_form("form") if has_older else "form"} AS key, n FROM form
    WHERE regexp_full_match(form, '\\pL[\\pL\\pM\\x{{200C}}\\x{{200D}}]*')
), frequent AS (
    SELECT form, key FROM counted QUALIFY sum(n) OVER (PARTITION BY key) >= at_least
)
SELECT frequent.key AS word, count(*) AS occurrences, count(DISTINCT w.doc_id) AS documents,
       "vector_spread{suffix}"(list(w.embedding)) AS distance
FROM "words{suffix}" AS w
JOIN frequent ON frequent.form = {form_of("w")}
GROUP BY frequent.key
ORDER BY distance DESC, word"""


def _drift(suffix: str) -> str:
    """How differently two lists of documents use a word."""
    return f"""
CREATE MACRO "drift{suffix}"(word, docs, other_docs, by_lemma := false) AS TABLE
WITH grouped AS (
    SELECT list(embedding) FILTER (WHERE list_contains(docs, doc_id)) AS here,
           list(embedding) FILTER (WHERE list_contains(other_docs, doc_id)) AS there
    FROM "occurrences{suffix}"(word, by_lemma := by_lemma)
)
SELECT len(here) AS occurrences, len(there) AS other_occurrences,
       "pairwise_distance{suffix}"(here, there) AS pairwise_distance,
       "prototype_distance{suffix}"(here, there) AS prototype_distance
FROM grouped"""


def _drift_by(suffix: str) -> str:
    """A word in slices of the corpus by an expression over documents: each against the one before, and the first.

    `slice_by` is put in as it stands, and so is bound where `documents` is the only table.
    """
    return f"""
CREATE MACRO "drift_by{suffix}"(word, slice_by, bins := 'auto', by_lemma := false, permutations := 999) AS TABLE
WITH dealt AS (
    SELECT documents.doc_id, (slice_by)::VARCHAR AS value FROM "documents{suffix}" AS documents
), numbered AS (
    SELECT o.embedding, o.doc_id, dealt.value,
           row_number() OVER (ORDER BY o.doc_id, o.sentence_index, o.word_index) AS n
    FROM "occurrences{suffix}"(word, by_lemma := by_lemma) AS o
    JOIN dealt ON dealt.doc_id = o.doc_id
    WHERE dealt.value IS NOT NULL
), listed AS (
    SELECT list(embedding ORDER BY n) AS embeddings, list(value ORDER BY n) AS of_each, list(doc_id ORDER BY n) AS ids
    FROM numbered
), measured AS (
    SELECT "drift_of_slices{suffix}"(embeddings, of_each, ids, bins::VARCHAR, permutations::BIGINT) AS found
    FROM listed
), slice AS (
    SELECT unnest(found, recursive := true) FROM measured
)
FROM slice ORDER BY slice_index"""


def _drift_rank(suffix: str) -> str:
    """All words of two lists of documents, those whose use differs most first.

    By the corrected distance, because it does not depend on how frequent a word is, as APD and PRT do.
    """
    return f"""
CREATE MACRO "drift_rank{suffix}"(docs, other_docs, at_least := 10, by_lemma := false, permutations := 999) AS TABLE
WITH asked AS (
    SELECT "drift_of_words{suffix}"(docs::VARCHAR[], other_docs::VARCHAR[], at_least::BIGINT, by_lemma::BOOLEAN,
                                    permutations::BIGINT) AS found
), measured AS (
    SELECT unnest(found, recursive := true) FROM asked
)
FROM measured ORDER BY apd_corrected DESC NULLS LAST, word"""


def _breaks(suffix: str) -> str:
    """The steps of a document, with the NSP margin if there is one, and whether the text breaks there."""
    return f"""
CREATE MACRO "breaks{suffix}"(document) AS TABLE
WITH scored AS (
    SELECT sentence_index, margin FROM ({step_margins(suffix)}) WHERE doc_id = document
), sentence AS (
    SELECT s.doc_id, s.sentence_index, s.text, s.embedding, t.margin,
           lead(s.text) OVER reading AS next_text, row_number() OVER reading AS n
    FROM "sentences{suffix}" AS s LEFT JOIN scored AS t ON t.sentence_index = s.sentence_index
    WHERE s.doc_id = document WINDOW reading AS (ORDER BY s.sentence_index)
), scale AS ({cosine_scale(suffix)}
), found AS (
    SELECT "find_breaks{suffix}"(list(embedding ORDER BY n), list(margin ORDER BY n), any_value(unrelated),
                               any_value(related)) AS rows
    FROM sentence CROSS JOIN scale
), step AS (
    SELECT unnest(rows, recursive := true), generate_subscripts(rows, 1) AS n FROM found
)
SELECT s.doc_id, s.sentence_index, s.margin, step.depth, step.is_break, step.gain, s.text, s.next_text
FROM sentence AS s
JOIN step ON step.n = s.n
ORDER BY s.sentence_index"""


def _surprisal(suffix: str) -> str:
    """The tokens of a text with the surprisal of each."""
    return f"""
CREATE MACRO "surprisal{suffix}"(text, variant := 'within_word_l2r') AS TABLE
WITH scored AS (SELECT "token_surprisals{suffix}"(text, variant) AS found)
SELECT unnest(found, recursive := true), generate_subscripts(found, 1) - 1 AS token_index FROM scored"""


def _pll(suffix: str) -> str:
    """The pseudo-log-likelihood of a text: minus the sum of its tokens' surprisals."""
    return f"""
CREATE MACRO "pll{suffix}"(text, variant := 'within_word_l2r') AS "text_likelihood{suffix}"(text, variant)"""
