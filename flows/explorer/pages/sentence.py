"""One sentence: those around it, and those of other documents that mean nearly the same, with the words that align."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters

_AROUND = """
SELECT s.sentence_index, s.text, s.n_tokens, c.margin, c.percentile, d.title, d.uri
FROM sentences AS s JOIN documents AS d ON d.doc_id = s.doc_id
LEFT JOIN coherence AS c ON c.doc_id = s.doc_id AND c.sentence_index = s.sentence_index
WHERE s.doc_id = $id AND s.sentence_index BETWEEN $i - 2 AND $i + 2 ORDER BY s.sentence_index"""
_NEAREST = """
FROM nearest_to((SELECT embedding FROM sentences WHERE doc_id = $id AND sentence_index = $i), k := $k + 1)
WHERE NOT (doc_id = $id AND sentence_index = $i) LIMIT $k"""
_ALIGNED = """
WITH own AS (
    SELECT word_index, word, embedding FROM words_of([$id], [$id || ' ' || $i]) WHERE regexp_matches(word, '[\\pL\\pN]')
), other AS (
    FROM words_of($docs, $places) WHERE regexp_matches(word, '[\\pL\\pN]')
), pair AS (
    SELECT other.doc_id, other.sentence_index, own.word_index, own.word, other.word AS other_word,
           other.word_index AS other_index, array_cosine_similarity(own.embedding, other.embedding) AS similarity
    FROM own CROSS JOIN other
)
SELECT doc_id, sentence_index, word_index, word, other_index, other_word, similarity FROM pair
QUALIFY row_number() OVER (PARTITION BY doc_id, sentence_index, word_index ORDER BY similarity DESC) = 1
    AND row_number() OVER (PARTITION BY doc_id, sentence_index, other_index ORDER BY similarity DESC) = 1
ORDER BY doc_id, sentence_index, similarity DESC"""
_MOST_WORDS = 6
"""Pairs of words that are shown of each neighbour."""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the sentence. Raises AbsentError if the lake has none there."""
    doc_id, index = parameters.required("doc", "document"), parameters.number("i", 0)
    k = parameters.number("k", 10, least=1, most=200)
    around = lake.ask(_AROUND, id=doc_id, i=index)
    own = [row for row in around.to_pylist() if row["sentence_index"] == index]
    if not own:
        raise AbsentError(f"The lake has no sentence {index} of a document with the id {doc_id[:200]!r}.")
    nearest = lake.ask(_NEAREST, id=doc_id, i=index, k=k)
    aligned = _aligned(lake, doc_id, index, nearest)
    pairs: dict[tuple[str, int], list[dict[str, object]]] = {}
    for row in aligned.to_pylist():
        pairs.setdefault((row["doc_id"], row["sentence_index"]), []).append(row)
    shown = [{**row, "pairs": pairs.get((row["doc_id"], row["sentence_index"]), [])[:_MOST_WORDS]}
             for row in nearest.to_pylist()]  # fmt: skip
    return Content(
        f"{own[0]['title'] or doc_id}, sentence {index}",
        {"nearest": nearest, "aligned": aligned, "around": around},
        {"doc_id": doc_id, "index": index, "sentence": own[0], "around": around.to_pylist(), "shown": shown},
    )


def _aligned(lake: Asked, doc_id: str, index: int, nearest: pa.Table) -> pa.Table:
    """Return the words of this sentence, each with the word of a neighbour that is used most alike, if both agree."""
    docs = nearest["doc_id"].to_pylist()
    places = [f"{doc} {i}" for doc, i in zip(docs, nearest["sentence_index"].to_pylist(), strict=True)]
    return lake.ask(_ALIGNED, id=doc_id, i=index, docs=docs, places=places)


PAGE = Page("sentence", load)
