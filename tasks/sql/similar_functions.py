"""SQL for similar sentences: a function that finds pairs of them in a lake, and the table macro above it."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from polyseme.storage.sql.literals import escaped
from polyseme.storage.sql.similar_sentences import SimilarPair
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.sql.aggregates import Function, sql_type
from polyseme.tasks.sql.columns import Column, rows_of, structs

_QUESTIONS = 4
_PAIR = {"doc_id": pa.string(), "sentence_index": pa.int32(), "other_doc_id": pa.string(),
         "other_sentence_index": pa.int32(), "similarity": pa.float64()}  # fmt: skip


def similar_function(find: Callable[[float, bool], list[SimilarPair]]) -> Function:
    """Return the function. `find` answers about the sentences of the encoding."""
    # DuckDB folds a constant call several times while planning.
    cache: AnswerCache[tuple[float, bool], list[SimilarPair]] = AnswerCache(_QUESTIONS)

    def body(least: Column, exact: Column) -> pa.Array:
        return structs(cache.ask(rows_of(least, exact), lambda new: [find(*one) for one in new]), _PAIR)

    return "similar_sentence_rows", body, ["DOUBLE", "BOOLEAN"], sql_type(_PAIR)


def similar_macro(suffix: str) -> str:
    """Pairs of sentences with different texts whose vectors are near to each other, the most similar first."""
    suffix = escaped(suffix)
    return f"""
CREATE MACRO "similar_sentences{suffix}"(at_least := 0.95, exact := false) AS TABLE
SELECT pair.similarity, pair.doc_id, pair.sentence_index, s.text, pair.other_doc_id, pair.other_sentence_index,
       other.text AS other_text
FROM (SELECT unnest("similar_sentence_rows{suffix}"(at_least::DOUBLE, exact), recursive := true)) AS pair
JOIN "sentences{suffix}" AS s ON s.doc_id = pair.doc_id AND s.sentence_index = pair.sentence_index
JOIN "sentences{suffix}" AS other
    ON other.doc_id = pair.other_doc_id AND other.sentence_index = pair.other_sentence_index
ORDER BY pair.similarity DESC, pair.doc_id, pair.sentence_index, pair.other_doc_id, pair.other_sentence_index"""
